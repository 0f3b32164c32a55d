// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "Townsfolk/Core/Conversation.h"
#include "fake_client.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

using namespace Townsfolk;

namespace
{
class FNotingListener : public IConversationListener
{
public:
	void OnLineStarted() override { Notes.push_back("started"); }
	void OnSpeechDelta(const std::string& Text) override
	{
		Notes.push_back("delta " + Text);
		OnDelta();
	}
	void OnSubtitleChanged(const std::string& Shown) override
	{
		Subtitle = Shown;
		OnSubtitle();
	}
	void OnEmotion(const std::string& Name) override { Notes.push_back("emotion " + Name); }
	void OnAction(const std::string& Name, const std::string& Json) override
	{
		Notes.push_back("action " + Name + " " + Json);
	}
	void OnLineFinished(const FSpokenLine& Line) override
	{
		Notes.push_back("finished " + std::to_string(Line.FinishReason) + " " + Line.Text);
		OnFinished();
	}
	void OnLineFailed(int32_t Status, const std::string& Message, const std::string&, double) override
	{
		Notes.push_back("failed " + std::to_string(Status) + " " + Message);
	}

	std::vector<std::string> Notes;
	std::string Subtitle;
	std::function<void()> OnDelta = [] {};
	std::function<void()> OnSubtitle = [] {};
	std::function<void()> OnFinished = [] {};
};

class ConversationTest : public testing::Test
{
protected:
	void SetUp() override
	{
		Town.Reset();
		Connection = FConnection::Open(nullptr, nullptr);
		Settings.PersonaId = "dwarf_smith";
	}

	void Begin() { Conversation = FConversation::Create(Connection, Settings, Listener); }

	void Say(const std::string& Text)
	{
		FSayLine Line;
		Line.Text = Text;
		Conversation->Say(Line);
	}

	void OpenSession(const std::string& Id)
	{
		FFakeEvent Event(TOWNSFOLK_EVENT_SESSION_OPENED, Town.Latest());
		Event.SessionId = Id;
		Push(Event.Last());
	}

	/** A turn's event, delivered at once. */
	void Push(FFakeEvent Event)
	{
		if (Event.TurnId.empty())
		{
			Event.TurnId = "t" + std::to_string(Event.Event.request);
		}
		Town.Push(std::move(Event));
		Connection->Tick(1);
	}

	void Delta(townsfolk_request Turn, const std::string& Text) { Push({TOWNSFOLK_EVENT_SPEECH_DELTA, Turn, Text}); }

	void Finish(townsfolk_request Turn, const std::string& Text, townsfolk_finish_reason Reason)
	{
		FFakeEvent Event(TOWNSFOLK_EVENT_FINISHED, Turn, Text);
		Event.Event.finish_reason = Reason;
		Push(Event.Last());
	}

	void Fail(townsfolk_request Request, townsfolk_status Status, const std::string& Field)
	{
		FFakeEvent Event(TOWNSFOLK_EVENT_ERROR, Request, "No.");
		Event.Event.status = Status;
		Event.Field = Field;
		Push(Event.Last());
	}

	using FNotes = std::vector<std::string>;

	FFakeTown& Town = FFakeTown::Get();
	std::shared_ptr<FConnection> Connection;
	FConversationSettings Settings;
	FNotingListener Listener;
	std::shared_ptr<FConversation> Conversation;
};
} // namespace

TEST_F(ConversationTest, OpensItsSessionForTheFirstLineAndKeepsIt)
{
	Settings.PlayerName = "Aila";
	Begin();
	Say("Hello.");
	EXPECT_TRUE(Conversation->IsSpeaking());
	OpenSession("s1");
	Delta(2, "Well ");
	Delta(2, "met.");
	Finish(2, "Well met.", TOWNSFOLK_FINISH_STOP);
	EXPECT_FALSE(Conversation->IsSpeaking());
	Say("Rope?");
	EXPECT_EQ(Town.Calls, (FNotes{"open_session - with dwarf_smith for Aila", "say dwarf_smith 'Hello.' in s1",
							  "say dwarf_smith 'Rope?' in s1"}));
	EXPECT_EQ(Listener.Notes, (FNotes{"delta Well ", "delta met.", "finished 1 Well met."}));
	EXPECT_EQ(Listener.Subtitle, "Well met.");
}

TEST_F(ConversationTest, TellsStartEmotionAndAction)
{
	Settings.bRemembers = false;
	Begin();
	Say("Hello.");
	Push({TOWNSFOLK_EVENT_STARTED, 1});
	Push({TOWNSFOLK_EVENT_EMOTION, 1, "wary"});
	FFakeEvent Action(TOWNSFOLK_EVENT_ACTION, 1, "open_door");
	Action.Json = "{\"slowly\":true}";
	Push(Action);
	EXPECT_EQ(Listener.Notes, (FNotes{"started", "emotion wary", "action open_door {\"slowly\":true}"}));
	EXPECT_EQ(Town.Calls, (FNotes{"say dwarf_smith 'Hello.' in -"}));
}

TEST_F(ConversationTest, ClosesASessionOfItsOwnAndLeavesANamedOne)
{
	Begin();
	Say("Hello.");
	OpenSession("s1");
	Conversation.reset();
	EXPECT_EQ(Town.Calls[2], "close_session s1");
	EXPECT_EQ(Town.Calls[3], "cancel 2");

	Town.Calls.clear();
	Settings.SessionId = "inn";
	Begin();
	Say("Hello.");
	EXPECT_EQ(Town.Calls, (FNotes{"open_session inn with dwarf_smith for -"}));
	OpenSession("inn");
	Conversation.reset();
	EXPECT_EQ(Town.Calls.size(), 3u);
	EXPECT_EQ(Town.Calls[2], "cancel 5");
}

TEST_F(ConversationTest, JoinsANamedSessionThatIsOpenAlready)
{
	Settings.SessionId = "inn";
	Begin();
	Say("Hello.");
	Fail(1, TOWNSFOLK_INVALID_ARGUMENT, "session_id");
	EXPECT_EQ(Town.Calls.back(), "say dwarf_smith 'Hello.' in inn");
	EXPECT_TRUE(Listener.Notes.empty());
}

TEST_F(ConversationTest, ALineFailsWithTheSessionItNeeds)
{
	Begin();
	Say("Hello.");
	Fail(1, TOWNSFOLK_NOT_FOUND, "persona_ids");
	EXPECT_EQ(Listener.Notes, (FNotes{"failed 5 No."}));
	EXPECT_FALSE(Conversation->IsSpeaking());
}

TEST_F(ConversationTest, OpensTheSessionAgainWhenTheDaemonHasLostIt)
{
	Begin();
	Say("Hello.");
	OpenSession("s1");
	Fail(2, TOWNSFOLK_NOT_FOUND, "session_id");
	Say("Hello?");
	EXPECT_EQ(Town.Calls.back(), "open_session - with dwarf_smith for -");
}

TEST_F(ConversationTest, AnInterruptedLineIsRememberedAsFarAsItWasShown)
{
	Settings.CharactersPerSecond = 10;
	Begin();
	Say("Tell me all.");
	OpenSession("s1");
	Delta(2, "Grüß dich, Wanderer.");
	Conversation->Advance(0.45);
	EXPECT_EQ(Listener.Subtitle, "Grüß");
	Conversation->Interrupt();
	EXPECT_EQ(Town.Calls[2], "heard t2 4");
	EXPECT_EQ(Town.Calls[3], "cancel 2");
	Delta(2, " Long ago");
	Finish(2, "Grüß dich, Wanderer. Long ago", TOWNSFOLK_FINISH_CANCELLED);
	EXPECT_EQ(Listener.Notes, (FNotes{"delta Grüß dich, Wanderer.", "finished 3 Grüß"}));
	Conversation->Interrupt();
	EXPECT_EQ(Town.Calls.size(), 4u);
}

TEST_F(ConversationTest, ALineHasFinishedWhenAllOfItIsShown)
{
	Settings.CharactersPerSecond = 10;
	Begin();
	Say("Hm?");
	OpenSession("s1");
	Delta(2, "Aye.");
	Finish(2, "Aye.", TOWNSFOLK_FINISH_STOP);
	EXPECT_EQ(Listener.Notes, (FNotes{"delta Aye."}));
	EXPECT_TRUE(Conversation->IsSpeaking());
	Conversation->Advance(0.5);
	EXPECT_EQ(Listener.Notes.back(), "finished 1 Aye.");
	EXPECT_FALSE(Conversation->IsSpeaking());
}

TEST_F(ConversationTest, AnInterruptWhileTheSubtitleCatchesUpEndsTheLineOnce)
{
	Settings.CharactersPerSecond = 10;
	Begin();
	Say("Hm?");
	OpenSession("s1");
	Delta(2, "Aye, stranger.");
	Finish(2, "Aye, stranger.", TOWNSFOLK_FINISH_STOP);
	Conversation->Advance(0.3);
	Conversation->Interrupt();
	EXPECT_EQ(Town.Calls.back(), "heard t2 3");
	EXPECT_EQ(Listener.Notes.size(), 1u) << "not within the call";
	Connection->Tick(1);
	Conversation->Advance(9);
	Connection->Tick(1);
	EXPECT_EQ(Listener.Notes, (FNotes{"delta Aye, stranger.", "finished 3 Aye"}));
}

TEST_F(ConversationTest, TheNextLineWaitsForWhatWasHeardOfTheLast)
{
	Begin();
	Say("One.");
	OpenSession("s1");
	Delta(2, "First");
	Say("Two.");
	EXPECT_EQ(Town.Calls.back(), "cancel 2");
	Finish(2, "First", TOWNSFOLK_FINISH_CANCELLED);
	EXPECT_EQ(Town.Calls.back(), "cancel 2") << "still waits for the answer to heard";
	Push(FFakeEvent(TOWNSFOLK_EVENT_HEARD, 3, "First").Last());
	EXPECT_EQ(Town.Calls.back(), "say dwarf_smith 'Two.' in s1");
}

TEST_F(ConversationTest, ALineInterruptedBeforeAnyEventWasNotHeard)
{
	Begin();
	Say("One.");
	OpenSession("s1");
	Conversation->Interrupt();
	EXPECT_EQ(Town.Calls.back(), "cancel 2");
	Finish(2, "A word", TOWNSFOLK_FINISH_CANCELLED);
	EXPECT_EQ(Town.Calls.back(), "heard t2 0");
	EXPECT_EQ(Listener.Notes, (FNotes{"finished 3 "}));
}

TEST_F(ConversationTest, ALineReplacedBeforeItBeganEndsToo)
{
	Begin();
	Say("One.");
	Say("Two.");
	EXPECT_TRUE(Listener.Notes.empty()) << "not within the call";
	Connection->Tick(1);
	EXPECT_EQ(Listener.Notes, (FNotes{"finished 3 "}));
	OpenSession("s1");
	EXPECT_EQ(Town.Calls.back(), "say dwarf_smith 'Two.' in s1");
}

TEST_F(ConversationTest, AListenerThatAlwaysSpeaksOnDoesNotRunAway)
{
	Begin();
	Listener.OnFinished = [this]
	{
		Say("And then?");
	};
	Say("One.");
	Say("Two.");
	for (int Count = 0; Count < 5; ++Count)
	{
		Connection->Tick(1);
	}
	EXPECT_EQ(Listener.Notes.size(), 5u);
}

TEST_F(ConversationTest, AListenerMayEndTheConversation)
{
	Begin();
	Say("One.");
	OpenSession("s1");
	Listener.OnDelta = [this]
	{
		Conversation.reset();
	};
	Delta(2, "A farewell that is longer than a short string.");
	EXPECT_EQ(Town.Calls[2], "close_session s1");
	Finish(2, "unheard", TOWNSFOLK_FINISH_CANCELLED);
	EXPECT_EQ(Listener.Notes.size(), 1u);
}

TEST_F(ConversationTest, AListenerThatLeavesHearsNoMoreOfTheSameEvent)
{
	Settings.bRemembers = false;
	Begin();
	Say("One.");
	Listener.OnSubtitle = [this]
	{
		Conversation->Leave();
	};
	Finish(1, "Nothing came before.", TOWNSFOLK_FINISH_STOP);
	EXPECT_EQ(Listener.Subtitle, "Nothing came before.");
	EXPECT_TRUE(Listener.Notes.empty());
}

TEST_F(ConversationTest, TellsWhyWithoutAConnection)
{
	Connection->Close("The daemon is gone.");
	Begin();
	Say("Hello.");
	EXPECT_TRUE(Listener.Notes.empty());
	Connection->Tick(1);
	EXPECT_EQ(Listener.Notes, (FNotes{"failed 14 The daemon is gone."}));
}

TEST_F(ConversationTest, SpeaksInARestoredSession)
{
	Begin();
	Conversation->UseSession("saved");
	Say("Where were we?");
	EXPECT_EQ(Town.Calls, (FNotes{"say dwarf_smith 'Where were we?' in saved"}));
}
