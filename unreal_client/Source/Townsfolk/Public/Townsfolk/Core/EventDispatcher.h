// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#pragma once

#include "townsfolk_client.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

namespace Townsfolk
{
/**
 * Names somebody who waits for events: a component, a node, a window. It is a weak reference: the slot of an owner that
 * was removed is used again under a new generation, so an old reference never reaches the new owner.
 */
struct FOwner
{
	uint32_t Slot = 0;
	uint32_t Generation = 0;
};

/** Takes an event of a request; false if nobody listens any more, so that the request may be cancelled. */
using FEventHandler = std::function<bool(const townsfolk_event&)>;

/** Brings each event to the handler of its request, as long as the handler's owner is there. */
class FEventDispatcher
{
public:
	FOwner AddOwner()
	{
		if (FreeSlots.empty())
		{
			Generations.push_back(1);
			return {static_cast<uint32_t>(Generations.size() - 1), 1};
		}
		const uint32_t Slot = FreeSlots.back();
		FreeSlots.pop_back();
		return {Slot, Generations[Slot]};
	}

	/** Forgets the owner and its handlers. Returns the requests that nobody waits for now, in their order. */
	std::vector<townsfolk_request> RemoveOwner(FOwner Owner)
	{
		std::vector<townsfolk_request> Orphans;
		if (!IsThere(Owner))
		{
			return Orphans;
		}
		++Generations[Owner.Slot];
		FreeSlots.push_back(Owner.Slot);
		for (auto Route = Routes.begin(); Route != Routes.end();)
		{
			if (Route->second.Owner.Slot == Owner.Slot)
			{
				Orphans.push_back(Route->first);
				Route = Routes.erase(Route);
			}
			else
			{
				++Route;
			}
		}
		std::sort(Orphans.begin(), Orphans.end());
		return Orphans;
	}

	bool IsThere(FOwner Owner) const
	{
		return Owner.Slot < Generations.size() && Generations[Owner.Slot] == Owner.Generation;
	}

	/** Sends the request's events to Handler from now on. False if the owner is gone. */
	bool Expect(townsfolk_request Request, FOwner Owner, FEventHandler Handler)
	{
		if (!IsThere(Owner))
		{
			return false;
		}
		Routes[Request] = {Owner, std::make_shared<FEventHandler>(std::move(Handler))};
		return true;
	}

	/** False if nobody listens to the event's request. Handlers may add and remove owners and requests meanwhile. */
	bool Dispatch(const townsfolk_event& Event)
	{
		const auto Route = Routes.find(Event.request);
		if (Route == Routes.end())
		{
			return false;
		}
		const std::shared_ptr<FEventHandler> Handler = Route->second.Handler;
		if (Event.last != 0)
		{
			Routes.erase(Route);
		}
		if ((*Handler)(Event))
		{
			return true;
		}
		Routes.erase(Event.request);
		return false;
	}

	/** The requests that somebody waits for, in the order in which they were made. */
	std::vector<townsfolk_request> Expected() const
	{
		std::vector<townsfolk_request> Requests;
		for (const auto& Route : Routes)
		{
			Requests.push_back(Route.first);
		}
		std::sort(Requests.begin(), Requests.end());
		return Requests;
	}

private:
	struct FRoute
	{
		FOwner Owner;
		std::shared_ptr<FEventHandler> Handler;
	};

	std::vector<uint32_t> Generations;
	std::vector<uint32_t> FreeSlots;
	std::unordered_map<townsfolk_request, FRoute> Routes;
};
} // namespace Townsfolk
