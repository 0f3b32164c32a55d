// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "Townsfolk/Core/Connection.h"
#include "fake_client.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

using namespace Townsfolk;

namespace
{
class ConnectionTest : public testing::Test
{
protected:
	void SetUp() override
	{
		FFakeTown::Get().Reset();
		Connection = FConnection::Open(nullptr,
			[this](const townsfolk_event& Event)
			{
				Told.push_back(Event.text);
				return true;
			});
	}

	void TearDown() override
	{
		Connection.reset();
		EXPECT_EQ(Town.OpenClients, 0);
	}

	/** Notes what it hears as "kind:text", with a full stop after the last event. */
	FEventHandler Noting()
	{
		return [this](const townsfolk_event& Event)
		{
			Heard.push_back(std::to_string(Event.kind) + ":" + Event.text + (Event.last ? "." : ""));
			return true;
		};
	}

	townsfolk_request List(FOwner Owner, FEventHandler Handler)
	{
		return Connection->Request(Owner, std::move(Handler), townsfolk_list_personas);
	}

	FFakeTown& Town = FFakeTown::Get();
	std::shared_ptr<FConnection> Connection;
	std::vector<std::string> Told;
	std::vector<std::string> Heard;
};
} // namespace

TEST_F(ConnectionTest, BringsEachEventToItsRequest)
{
	const FOwner Owner = Connection->AddOwner();
	const townsfolk_request First = List(Owner, Noting());
	const townsfolk_request Second = List(Owner, [](const townsfolk_event&) { return true; });
	Town.Push({TOWNSFOLK_EVENT_SPEECH_DELTA, Second, "not mine"});
	Town.Push({TOWNSFOLK_EVENT_SPEECH_DELTA, First, "mine"});
	EXPECT_EQ(Connection->Tick(1), 2);
	EXPECT_EQ(Heard, std::vector<std::string>{"4:mine"});
}

TEST_F(ConnectionTest, TellsWhatBelongsToNoRequest)
{
	Town.Push({TOWNSFOLK_EVENT_CONNECTION, 0, "ready"});
	Connection->Tick(1);
	EXPECT_EQ(Told, std::vector<std::string>{"ready"});
}

TEST_F(ConnectionTest, HearsNothingAfterTheLastEvent)
{
	const townsfolk_request Request = List(Connection->AddOwner(), Noting());
	Town.Push(FFakeEvent(TOWNSFOLK_EVENT_PERSONAS, Request).Last());
	Town.Push({TOWNSFOLK_EVENT_PERSONAS, Request, "again"});
	Connection->Tick(1);
	EXPECT_EQ(Heard, std::vector<std::string>{"8:."});
}

TEST_F(ConnectionTest, CancelsTheRequestsOfARemovedOwner)
{
	const FOwner Gone = Connection->AddOwner();
	const FOwner Staying = Connection->AddOwner();
	List(Gone, Noting());
	List(Staying, Noting());
	Connection->RemoveOwner(Gone);
	EXPECT_EQ(Town.Calls, (std::vector<std::string>{"list_personas", "list_personas", "cancel 1"}));
	Town.Push({TOWNSFOLK_EVENT_SPEECH_DELTA, 1, "for nobody"});
	Connection->Tick(1);
	EXPECT_TRUE(Heard.empty());
}

TEST_F(ConnectionTest, AnOldReferenceDoesNotReachTheNewOwnerOfItsSlot)
{
	const FOwner Old = Connection->AddOwner();
	Connection->RemoveOwner(Old);
	const FOwner New = Connection->AddOwner();
	ASSERT_EQ(New.Slot, Old.Slot);
	List(New, Noting());
	Connection->RemoveOwner(Old);
	Town.Push({TOWNSFOLK_EVENT_SPEECH_DELTA, Town.Latest(), "new"});
	Connection->Tick(1);
	EXPECT_EQ(Heard, std::vector<std::string>{"4:new"});
	List(Old, Noting());
	EXPECT_EQ(Town.Calls.back(), "cancel 2");
}

TEST_F(ConnectionTest, CancelsWhatNobodyListensTo)
{
	const townsfolk_request Request = List(Connection->AddOwner(), [](const townsfolk_event&) { return false; });
	Town.Push({TOWNSFOLK_EVENT_SPEECH_DELTA, Request, "hello?"});
	Connection->Tick(1);
	EXPECT_EQ(Town.Calls.back(), "cancel 1");
}

TEST_F(ConnectionTest, EndsARefusedRequestAtTheNextTick)
{
	Town.bRefusesRequests = true;
	Town.LastError = "text is missing.";
	EXPECT_NE(List(Connection->AddOwner(), Noting()), 0u);
	EXPECT_TRUE(Heard.empty());
	EXPECT_EQ(Connection->Tick(1), 1);
	EXPECT_EQ(Heard, std::vector<std::string>{"2:text is missing.."});
}

TEST_F(ConnectionTest, StopsWhenItsTimeIsSpent)
{
	const auto Slow = [](const townsfolk_event&)
	{
		const auto Until = std::chrono::steady_clock::now() + std::chrono::milliseconds(2);
		while (std::chrono::steady_clock::now() < Until)
		{
		}
		return true;
	};
	const townsfolk_request Request = List(Connection->AddOwner(), Slow);
	for (int Count = 0; Count < 3; ++Count)
	{
		Town.Push({TOWNSFOLK_EVENT_SPEECH_DELTA, Request});
	}
	EXPECT_EQ(Connection->Tick(0.001), 1);
	EXPECT_EQ(Connection->Tick(10), 2);
	EXPECT_EQ(Connection->Tick(10), 0);
}

TEST_F(ConnectionTest, CloseEndsEveryOpenRequestOnce)
{
	List(Connection->AddOwner(), Noting());
	List(Connection->AddOwner(), Noting());
	Connection->Close("The game ends.");
	EXPECT_EQ(Heard, (std::vector<std::string>{"2:The game ends..", "2:The game ends.."}));
	EXPECT_EQ(Town.OpenClients, 0);
	Connection->Close("Again.");
	EXPECT_EQ(Heard.size(), 2u);
	EXPECT_EQ(Connection->WhyClosed(), "The game ends.");
}

TEST_F(ConnectionTest, AHandlerMayCloseWithItsEventInHand)
{
	std::string Kept;
	const townsfolk_request Request = List(Connection->AddOwner(),
		[&](const townsfolk_event& Event)
		{
			if (Event.kind == TOWNSFOLK_EVENT_SPEECH_DELTA)
			{
				Connection->Close("Enough.");
				EXPECT_FALSE(Connection->IsOpen());
				Kept = Event.text;
			}
			return true;
		});
	Town.Push({TOWNSFOLK_EVENT_SPEECH_DELTA, Request, "a text too long to be kept in the string object itself"});
	Town.Push({TOWNSFOLK_EVENT_SPEECH_DELTA, Request, "never asked for"});
	EXPECT_EQ(Connection->Tick(1), 1);
	EXPECT_EQ(Kept, "a text too long to be kept in the string object itself");
	EXPECT_EQ(Town.OpenClients, 0);
}

TEST_F(ConnectionTest, AHandlerMayDropTheLastReference)
{
	const townsfolk_request Request = List(Connection->AddOwner(),
		[this](const townsfolk_event&)
		{
			Connection.reset();
			return true;
		});
	Town.Push({TOWNSFOLK_EVENT_SPEECH_DELTA, Request});
	Connection->Tick(1);
	EXPECT_EQ(Town.OpenClients, 0);
}

TEST_F(ConnectionTest, AHandlerThatTicksGetsNoOtherEvent)
{
	int Inner = -1;
	const townsfolk_request Request = List(Connection->AddOwner(),
		[&](const townsfolk_event&)
		{
			Inner = Connection->Tick(1);
			return true;
		});
	Town.Push({TOWNSFOLK_EVENT_SPEECH_DELTA, Request});
	Town.Push({TOWNSFOLK_EVENT_SPEECH_DELTA, Request});
	Connection->Tick(1);
	EXPECT_EQ(Inner, 0);
}

TEST_F(ConnectionTest, AHandlerMayRemoveItsOwnerAndAskAgain)
{
	const FOwner Owner = Connection->AddOwner();
	const townsfolk_request Request = List(Owner,
		[this, Owner](const townsfolk_event&)
		{
			Connection->RemoveOwner(Owner);
			List(Connection->AddOwner(), Noting());
			return true;
		});
	Town.Push(FFakeEvent(TOWNSFOLK_EVENT_PERSONAS, Request).Last());
	Connection->Tick(1);
	Town.Push(FFakeEvent(TOWNSFOLK_EVENT_PERSONAS, Town.Latest()).Last());
	Connection->Tick(1);
	EXPECT_EQ(Heard, std::vector<std::string>{"8:."});
}

TEST(Connection, RefusesALibraryOfAnotherInterface)
{
	FFakeTown::Get().Reset();
	FFakeTown::Get().AbiVersion = TOWNSFOLK_ABI_VERSION + 1;
	const std::shared_ptr<FConnection> Connection = FConnection::Open(nullptr, nullptr);
	EXPECT_FALSE(Connection->IsOpen());
	EXPECT_NE(Connection->WhyClosed().find("interface version"), std::string::npos);
	EXPECT_TRUE(FFakeTown::Get().Calls.empty());
}

TEST(Connection, SaysWhyItCannotConnect)
{
	FFakeTown::Get().Reset();
	FFakeTown::Get().bRefusesConnect = true;
	FFakeTown::Get().LastError = "address has no port.";
	const std::shared_ptr<FConnection> Connection = FConnection::Open(nullptr, nullptr);
	std::string Failure;
	Connection->Request(
		Connection->AddOwner(),
		[&](const townsfolk_event& Event)
		{
			Failure = Event.text;
			EXPECT_EQ(Event.status, TOWNSFOLK_UNAVAILABLE);
			return true;
		},
		townsfolk_list_personas);
	Connection->Tick(1);
	EXPECT_EQ(Failure, "address has no port.");
}
