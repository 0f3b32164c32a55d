// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Townsfolk/Core/Connection.h"
#include "Townsfolk/Core/SayLine.h"
#include "Townsfolk/Core/Typewriter.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace Townsfolk
{
/** How a line ended. */
struct FSpokenLine
{
	/** What was spoken; of an interrupted line, what the player saw. */
	std::string Text;
	int32_t FinishReason = TOWNSFOLK_FINISH_UNSPECIFIED;
	/** "busy", "timeout" or "error" if it is one of the persona's authored lines, else empty. */
	std::string FallbackReason;
	townsfolk_turn_stats Stats = {};
};

/** Hears what a persona says. */
class IConversationListener
{
public:
	virtual ~IConversationListener() = default;
	virtual void OnLineStarted() = 0;
	virtual void OnSpeechDelta(const std::string& Text) = 0;
	virtual void OnSubtitleChanged(const std::string& Shown) = 0;
	virtual void OnEmotion(const std::string& Name) = 0;
	virtual void OnAction(const std::string& Name, const std::string& ArgumentsJson) = 0;
	virtual void OnLineFinished(const FSpokenLine& Line) = 0;
	virtual void OnLineFailed(
		int32_t Status, const std::string& Message, const std::string& Field, double RetryAfterS) = 0;
};

/** Who talks, and in which session. */
struct FConversationSettings
{
	std::string PersonaId;
	/** Session to speak in, opened if it is not open yet. Empty: one of the conversation's own, closed with it. */
	std::string SessionId;
	std::string PlayerName;
	/** False: every line stands for itself and is not remembered. */
	bool bRemembers = true;
	/** Speed of the subtitle; 0 shows text as it comes. */
	double CharactersPerSecond = 0;
};

/**
 * The talk of one persona with the player: at most one line at a time, in a session that is opened when it is needed.
 *
 * Every Say ends with exactly one OnLineFinished or OnLineFailed, never within the call, unless the conversation is
 * destroyed first. A Say while a line is being spoken interrupts that one. The next line waits until the daemon knows how
 * much of the last one was heard, since that decides what the persona remembers.
 */
class FConversation : public std::enable_shared_from_this<FConversation>
{
public:
	/** The listener must be there until the conversation is destroyed or left. */
	static std::shared_ptr<FConversation> Create(
		std::shared_ptr<FConnection> Connection, FConversationSettings Settings, IConversationListener& Listener)
	{
		return std::shared_ptr<FConversation>(new FConversation(std::move(Connection), std::move(Settings), Listener));
	}

	FConversation(const FConversation&) = delete;
	FConversation& operator=(const FConversation&) = delete;

	~FConversation() { Leave(); }

	/** Cancels what runs and closes a session of its own; the listener hears no more. A listener may call it. */
	void Leave()
	{
		Listener = nullptr;
		Waiting.reset();
		Ended.reset();
		if (bOpen && Settings.SessionId.empty())
		{
			Connection->Send(
				[this](townsfolk_client* Client) { return townsfolk_close_session(Client, SessionId.c_str()); });
		}
		bOpen = false;
		Connection->RemoveOwner(Owner);
	}

	void Say(FSayLine Line)
	{
		Interrupt();
		Line.PersonaId = Settings.PersonaId;
		Waiting = std::move(Line);
		StartWaiting();
	}

	/** Ends the line where the player stands in it. The persona remembers no more than was shown. */
	void Interrupt()
	{
		DropWaiting();
		if (bInterrupted || (Turn == 0 && !Ended))
		{
			return;
		}
		bInterrupted = true;
		Subtitle.Stop();
		ReportHeard();
		if (Turn != 0)
		{
			Connection->Cancel(Turn);
		}
		else
		{
			NextTick(&FConversation::OnInterruptedDue);
		}
	}

	/** Lets the subtitle go on. */
	void Advance(double Seconds)
	{
		const std::shared_ptr<FConversation> KeepAlive = shared_from_this();
		if (!bInterrupted && Subtitle.Advance(Seconds))
		{
			Tell(&IConversationListener::OnSubtitleChanged, std::string(Subtitle.Shown()));
			TellIfShown();
		}
	}

	/** Whether a line was asked for that has not ended. */
	bool IsSpeaking() const { return Waiting || Turn != 0 || Ended; }

	/** The session's id; empty while none is open. */
	std::string OpenSessionId() const { return bOpen ? SessionId : std::string(); }

	/** Takes up a session that is open already, such as a restored one. */
	void UseSession(std::string InSessionId)
	{
		SessionId = std::move(InSessionId);
		Settings.SessionId = SessionId;
		bOpen = true;
	}

private:
	FConversation(
		std::shared_ptr<FConnection> InConnection, FConversationSettings InSettings, IConversationListener& InListener)
		: Connection(std::move(InConnection))
		, Settings(std::move(InSettings))
		, Listener(&InListener)
		, Owner(Connection->AddOwner())
	{
		Subtitle.Stop();
	}

	template <typename... TParameters, typename... TArguments>
	void Tell(void (IConversationListener::*What)(TParameters...), TArguments&&... Arguments)
	{
		if (Listener != nullptr)
		{
			(Listener->*What)(std::forward<TArguments>(Arguments)...);
		}
	}

	/** A handler that keeps the conversation alive while it runs, and is deaf once the conversation is gone. */
	FEventHandler Handler(void (FConversation::*Handle)(const townsfolk_event&))
	{
		return [Weak = weak_from_this(), Handle](const townsfolk_event& Event)
		{
			const std::shared_ptr<FConversation> Self = Weak.lock();
			if (Self)
			{
				((*Self).*Handle)(Event);
			}
			return Self != nullptr;
		};
	}

	/** For what ends a line by the caller's own doing: every line ends outside of the call that makes it end. */
	void NextTick(void (FConversation::*Handle)(const townsfolk_event&))
	{
		Connection->Refuse(Owner, Handler(Handle), TOWNSFOLK_CANCELLED, "");
	}

	void DropWaiting()
	{
		if (Waiting)
		{
			Waiting.reset();
			NextTick(&FConversation::OnDroppedDue);
		}
	}

	void OnDroppedDue(const townsfolk_event&)
	{
		FSpokenLine Unspoken;
		Unspoken.FinishReason = TOWNSFOLK_FINISH_CANCELLED;
		Tell(&IConversationListener::OnLineFinished, Unspoken);
	}

	void OnInterruptedDue(const townsfolk_event&)
	{
		if (Ended)
		{
			Ended->Text = Subtitle.Shown();
			Ended->FinishReason = TOWNSFOLK_FINISH_CANCELLED;
			TellIfShown();
		}
	}

	void StartWaiting()
	{
		if (!Waiting || Turn != 0 || Ended || HeardRequest != 0 || OpenRequest != 0)
		{
			return;
		}
		if (Settings.bRemembers && !bOpen)
		{
			OpenSession();
			return;
		}
		FSayLine Line = std::move(*Waiting);
		Waiting.reset();
		Line.SessionId = Settings.bRemembers ? SessionId : std::string();
		bInterrupted = bHeardReported = false;
		TurnId.clear();
		Subtitle.Start(Settings.CharactersPerSecond);
		Turn = Connection->Request(Owner, Handler(&FConversation::OnTurnEvent),
			[&Line](townsfolk_client* Client)
			{
				const townsfolk_say_options Options = Line.Options();
				return townsfolk_say(Client, &Options);
			});
	}

	void OpenSession()
	{
		OpenRequest = Connection->Request(Owner, Handler(&FConversation::OnSessionEvent),
			[this](townsfolk_client* Client)
			{
				const char* Persona = Settings.PersonaId.c_str();
				townsfolk_session_options Options = {};
				Options.struct_size = sizeof(Options);
				Options.session_id = FSayLine::OrNull(Settings.SessionId);
				Options.persona_ids = &Persona;
				Options.persona_count = 1;
				Options.player_name = FSayLine::OrNull(Settings.PlayerName);
				return townsfolk_open_session(Client, &Options);
			});
	}

	void OnSessionEvent(const townsfolk_event& Event)
	{
		OpenRequest = 0;
		// A named session may be open already: another component or an earlier map has opened it.
		const bool bWasOpen =
			Event.kind == TOWNSFOLK_EVENT_ERROR && !Settings.SessionId.empty() &&
			(Event.status == TOWNSFOLK_ALREADY_EXISTS ||
				(Event.status == TOWNSFOLK_INVALID_ARGUMENT && std::string(Event.field) == "session_id"));
		if (Event.kind == TOWNSFOLK_EVENT_SESSION_OPENED || bWasOpen)
		{
			bOpen = true;
			SessionId = bWasOpen ? Settings.SessionId : Event.session_id;
			StartWaiting();
		}
		else if (Waiting)
		{
			Waiting.reset();
			Fail(Event);
		}
	}

	void OnTurnEvent(const townsfolk_event& Event)
	{
		if (TurnId.empty())
		{
			TurnId = Event.turn_id;
		}
		switch (Event.kind)
		{
		case TOWNSFOLK_EVENT_FINISHED:
			EndTurn(Event);
			break;
		case TOWNSFOLK_EVENT_ERROR:
			FailTurn(Event);
			break;
		default:
			if (!bInterrupted)
			{
				Hear(Event);
			}
		}
	}

	void Hear(const townsfolk_event& Event)
	{
		switch (Event.kind)
		{
		case TOWNSFOLK_EVENT_STARTED:
			Tell(&IConversationListener::OnLineStarted);
			break;
		case TOWNSFOLK_EVENT_SPEECH_DELTA:
			Subtitle.Append(Event.text);
			Tell(&IConversationListener::OnSpeechDelta, Event.text);
			if (!bInterrupted && Settings.CharactersPerSecond <= 0)
			{
				Tell(&IConversationListener::OnSubtitleChanged, std::string(Subtitle.Shown()));
			}
			break;
		case TOWNSFOLK_EVENT_EMOTION:
			Tell(&IConversationListener::OnEmotion, Event.text);
			break;
		case TOWNSFOLK_EVENT_ACTION:
			Tell(&IConversationListener::OnAction, Event.text, Event.json);
			break;
		default:
			break;
		}
	}

	void EndTurn(const townsfolk_event& Event)
	{
		Turn = 0;
		Ended.emplace();
		Ended->Text = bInterrupted ? std::string(Subtitle.Shown()) : Event.text;
		Ended->FinishReason = bInterrupted ? int32_t(TOWNSFOLK_FINISH_CANCELLED) : Event.finish_reason;
		Ended->FallbackReason = Event.fallback_reason;
		Ended->Stats = Event.stats;
		if (bInterrupted)
		{
			ReportHeard();
		}
		else if (Subtitle.Finish(Event.text))
		{
			Tell(&IConversationListener::OnSubtitleChanged, std::string(Subtitle.Shown()));
		}
		TellIfShown();
	}

	/** A line has ended when the player has seen all of it. */
	void TellIfShown()
	{
		if (!Ended || !Subtitle.IsDone())
		{
			return;
		}
		const FSpokenLine Line = std::move(*Ended);
		Ended.reset();
		Tell(&IConversationListener::OnLineFinished, Line);
		StartWaiting();
	}

	void FailTurn(const townsfolk_event& Event)
	{
		Turn = 0;
		Subtitle.Stop();
		// The daemon no longer has the session: the next line opens one again.
		if (Event.status == TOWNSFOLK_NOT_FOUND && std::string(Event.field) == "session_id")
		{
			bOpen = false;
		}
		Fail(Event);
		StartWaiting();
	}

	void Fail(const townsfolk_event& Event)
	{
		Tell(&IConversationListener::OnLineFailed, Event.status, Event.text, Event.field, Event.retry_after_s);
	}

	/** Tells the daemon once per turn, as soon as the turn's id is known. */
	void ReportHeard()
	{
		if (!Settings.bRemembers || bHeardReported || TurnId.empty())
		{
			return;
		}
		bHeardReported = true;
		HeardRequest =
			Connection->Request(Owner, Handler(&FConversation::OnHeardEvent), [this](townsfolk_client* Client)
				{ return townsfolk_heard(Client, TurnId.c_str(), Subtitle.ShownCodePoints()); });
	}

	void OnHeardEvent(const townsfolk_event&)
	{
		HeardRequest = 0;
		StartWaiting();
	}

	std::shared_ptr<FConnection> Connection;
	FConversationSettings Settings;
	IConversationListener* Listener;
	FOwner Owner;
	FTypewriter Subtitle;
	std::optional<FSayLine> Waiting;
	/** A line that came whole, while its subtitle goes on. */
	std::optional<FSpokenLine> Ended;
	std::string SessionId;
	std::string TurnId;
	townsfolk_request Turn = 0;
	townsfolk_request OpenRequest = 0;
	townsfolk_request HeardRequest = 0;
	bool bOpen = false;
	bool bInterrupted = false;
	bool bHeardReported = false;
};
} // namespace Townsfolk
