// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "Townsfolk/Core/EventDispatcher.h"

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace Townsfolk
{
/**
 * The client's handle, polled on the thread that calls Tick, and who waits for what.
 *
 * Every request ends with exactly one event whose `last` is 1, whatever happens: arguments that cannot be right and a
 * connection that is not there end it by an ERROR event at the next Tick, Close by an ERROR event at once. Only a removed
 * owner and a destroyed connection hear no more. Handlers may close the connection or drop their reference to it.
 */
class FConnection : public std::enable_shared_from_this<FConnection>
{
public:
	/**
	 * Connects in the background. OnTold takes the events that belong to no request: states of the connection and lost
	 * events. If it cannot even begin, the connection is there all the same, closed, and WhyClosed says why.
	 */
	static std::shared_ptr<FConnection> Open(const townsfolk_options* Options, FEventHandler OnTold)
	{
		const uint32_t Found = townsfolk_abi_version();
		if (Found != TOWNSFOLK_ABI_VERSION)
		{
			return Closed("The Townsfolk library speaks interface version " + std::to_string(Found) + ", this plugin " +
						  std::to_string(TOWNSFOLK_ABI_VERSION) + ": stage the library that belongs to the plugin.");
		}
		townsfolk_client* Client = nullptr;
		if (townsfolk_connect(Options, &Client) != TOWNSFOLK_OK)
		{
			return Closed(townsfolk_last_error());
		}
		return std::shared_ptr<FConnection>(new FConnection(Client, std::move(OnTold), ""));
	}

	/** A connection that cannot be used, for the reason given: every request fails with it. */
	static std::shared_ptr<FConnection> Closed(std::string Why)
	{
		return std::shared_ptr<FConnection>(new FConnection(nullptr, nullptr, std::move(Why)));
	}

	FConnection(const FConnection&) = delete;
	FConnection& operator=(const FConnection&) = delete;
	~FConnection() { FreeClient(); }

	bool IsOpen() const { return Client != nullptr && !bCloseWanted; }

	/** One sentence; empty while the connection is open. */
	const std::string& WhyClosed() const { return Why; }

	FOwner AddOwner() { return Dispatcher.AddOwner(); }

	/** Cancels the owner's requests; it hears no more of them. */
	void RemoveOwner(FOwner Owner)
	{
		for (const townsfolk_request Request : Dispatcher.RemoveOwner(Owner))
		{
			Cancel(Request);
		}
	}

	/**
	 * Makes a request: Start is called with the client and returns the request's number. The result is never 0 and can
	 * be cancelled; the owner must be there.
	 */
	template <typename TStart>
	townsfolk_request Request(FOwner Owner, FEventHandler Handler, TStart&& Start)
	{
		if (!IsOpen())
		{
			return Refuse(Owner, std::move(Handler), TOWNSFOLK_UNAVAILABLE, Why);
		}
		const townsfolk_request Number = Start(Client);
		if (Number == 0)
		{
			return Refuse(Owner, std::move(Handler), TOWNSFOLK_INVALID_ARGUMENT, townsfolk_last_error());
		}
		if (!Dispatcher.Expect(Number, Owner, std::move(Handler)))
		{
			Cancel(Number);
		}
		return Number;
	}

	/** A request that never reaches the daemon: it ends at the next Tick, by an ERROR event. */
	townsfolk_request Refuse(FOwner Owner, FEventHandler Handler, townsfolk_status Status, std::string Message)
	{
		const townsfolk_request Number = NextRefused++;
		if (Dispatcher.Expect(Number, Owner, std::move(Handler)))
		{
			Refused.push_back({Number, Status, std::move(Message)});
		}
		return Number;
	}

	/** Makes a request whose end nobody waits for. */
	template <typename TStart>
	void Send(TStart&& Start)
	{
		if (IsOpen())
		{
			Start(Client);
		}
	}

	/** The request still ends with its last event. */
	void Cancel(townsfolk_request Number)
	{
		if (IsOpen() && Number < FirstRefused)
		{
			townsfolk_cancel(Client, Number);
		}
	}

	/** Lets the lines of a scene end, then closes it. */
	void CloseScene(townsfolk_request Scene)
	{
		if (IsOpen() && Scene < FirstRefused)
		{
			townsfolk_scene_close(Client, Scene);
		}
	}

	/** Hands out what has happened, for at most BudgetSeconds and one event more. Returns the number of events. */
	int Tick(double BudgetSeconds)
	{
		// A handler that runs a modal loop ticks again: the event in its hands must stay valid.
		if (bTicking)
		{
			return 0;
		}
		using FClock = std::chrono::steady_clock;
		const std::shared_ptr<FConnection> KeepAlive = shared_from_this();
		const std::chrono::duration<double> Budget(BudgetSeconds);
		bTicking = true;
		int Count = EndRefused();
		if (IsOpen())
		{
			if (const townsfolk_event* Event = townsfolk_poll(Client))
			{
				const FClock::time_point Began = FClock::now();
				do
				{
					Deliver(*Event);
					++Count;
				} while (IsOpen() && FClock::now() - Began < Budget && (Event = townsfolk_poll(Client)) != nullptr);
			}
		}
		bTicking = false;
		if (bCloseWanted)
		{
			CloseNow();
		}
		return Count;
	}

	/** Cancels everything and frees the client; within a handler, as soon as that has returned. */
	void Close(std::string InWhy)
	{
		if (!IsOpen())
		{
			return;
		}
		Why = std::move(InWhy);
		bCloseWanted = true;
		if (!bTicking)
		{
			CloseNow();
		}
	}

private:
	struct FRefusal
	{
		townsfolk_request Number;
		townsfolk_status Status;
		std::string Message;
	};

	FConnection(townsfolk_client* InClient, FEventHandler InOnTold, std::string InWhy)
		: Client(InClient)
		, OnTold(std::move(InOnTold))
		, Why(std::move(InWhy))
	{
	}

	void FreeClient()
	{
		if (Client != nullptr)
		{
			townsfolk_close(Client);
			Client = nullptr;
		}
	}

	void Deliver(const townsfolk_event& Event)
	{
		if (Event.request == 0)
		{
			if (OnTold)
			{
				OnTold(Event);
			}
			return;
		}
		const townsfolk_request Number = Event.request;
		const bool bLast = Event.last != 0;
		if (!Dispatcher.Dispatch(Event) && !bLast)
		{
			Cancel(Number);
		}
	}

	void EndWith(townsfolk_request Number, townsfolk_status Status, const std::string& Message)
	{
		townsfolk_event Event = {};
		Event.kind = TOWNSFOLK_EVENT_ERROR;
		Event.last = 1;
		Event.request = Number;
		Event.status = Status;
		Event.text = Message.c_str();
		Event.text_bytes = Message.size();
		Event.turn_id = Event.session_id = Event.persona_id = "";
		Event.json = Event.field = Event.fallback_reason = "";
		Dispatcher.Dispatch(Event);
	}

	int EndRefused()
	{
		std::vector<FRefusal> Ending;
		Ending.swap(Refused);
		for (const FRefusal& Refusal : Ending)
		{
			EndWith(Refusal.Number, Refusal.Status, Refusal.Message);
		}
		return static_cast<int>(Ending.size());
	}

	void CloseNow()
	{
		bCloseWanted = false;
		const std::shared_ptr<FConnection> KeepAlive = shared_from_this();
		FreeClient();
		EndRefused();
		for (const townsfolk_request Number : Dispatcher.Expected())
		{
			EndWith(Number, TOWNSFOLK_CANCELLED, Why);
		}
	}

	/** Numbers of refused requests, far from the client's own. */
	static constexpr townsfolk_request FirstRefused = townsfolk_request(1) << 63;

	townsfolk_client* Client;
	FEventHandler OnTold;
	std::string Why;
	FEventDispatcher Dispatcher;
	std::vector<FRefusal> Refused;
	townsfolk_request NextRefused = FirstRefused;
	bool bTicking = false;
	bool bCloseWanted = false;
};
} // namespace Townsfolk
