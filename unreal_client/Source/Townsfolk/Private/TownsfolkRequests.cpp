// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkRequests.h"

#include "TownsfolkConvert.h"

namespace
{
townsfolk_variant_kind KindFrom(ETownsfolkVariant Kind)
{
	switch (Kind)
	{
	case ETownsfolkVariant::PromptOnly:
		return TOWNSFOLK_VARIANT_PROMPT_ONLY;
	case ETownsfolkVariant::Base:
		return TOWNSFOLK_VARIANT_BASE;
	default:
		return TOWNSFOLK_VARIANT_PERSONA;
	}
}

/** Variants as the C interface takes them, with what they point to. */
struct FNativeVariants
{
	explicit FNativeVariants(const TArray<FTownsfolkVariant>& Variants)
	{
		Ids.reserve(static_cast<size_t>(Variants.Num()));
		Values.reserve(static_cast<size_t>(Variants.Num()));
		for (const FTownsfolkVariant& Variant : Variants)
		{
			Ids.push_back(Townsfolk::ToUtf8(Variant.PersonaId));
			townsfolk_variant Native = {};
			Native.struct_size = sizeof(Native);
			Native.kind = KindFrom(Variant.Kind);
			Native.persona_id =
				Variant.Kind == ETownsfolkVariant::Base ? nullptr : Townsfolk::FSayLine::OrNull(Ids.back());
			Native.has_adapter_scale = Variant.Kind == ETownsfolkVariant::Persona ? 1 : 0;
			Native.adapter_scale = Variant.AdapterScale;
			Values.push_back(Native);
			Pointers.push_back(&Values.back());
		}
	}

	std::vector<std::string> Ids;
	std::vector<townsfolk_variant> Values;
	std::vector<const townsfolk_variant*> Pointers;
};
/** Texts as the C interface takes them. */
struct FNativeTexts
{
	explicit FNativeTexts(const TArray<FString>& Given)
	{
		for (const FString& Text : Given)
		{
			Texts.push_back(Townsfolk::ToUtf8(Text));
		}
		for (const std::string& Text : Texts)
		{
			Pointers.push_back(Text.c_str());
		}
	}

	std::vector<std::string> Texts;
	std::vector<const char*> Pointers;
};

uint32 CountFrom(int32 Count)
{
	return static_cast<uint32>(FMath::Max(Count, 0));
}
} // namespace

FTownsfolkRequests::FTownsfolkRequests(const FTownsfolkConnection& Connection)
	: Core(Connection.GetCore())
	, Owner(Core->AddOwner())
{
}

FTownsfolkRequests::FTownsfolkRequests(FTownsfolkRequests&& Other)
	: Core(MoveTemp(Other.Core))
	, Owner(Other.Owner)
{
	Other.Core.reset();
}

FTownsfolkRequests& FTownsfolkRequests::operator=(FTownsfolkRequests&& Other)
{
	if (this != &Other)
	{
		Reset();
		Core = MoveTemp(Other.Core);
		Owner = Other.Owner;
		Other.Core.reset();
	}
	return *this;
}

FTownsfolkRequests::~FTownsfolkRequests()
{
	Reset();
}

void FTownsfolkRequests::Reset()
{
	if (Core)
	{
		Core->RemoveOwner(Owner);
		Core.reset();
	}
}

template <typename TStart>
townsfolk_request FTownsfolkRequests::Request(FTownsfolkEventDelegate OnEvent, TStart&& Start)
{
	check(IsInGameThread());
	if (!Core)
	{
		return 0;
	}
	return Core->Request(
		Owner, [Delegate = MoveTemp(OnEvent)](const townsfolk_event& Event) { return Delegate.ExecuteIfBound(Event); },
		Forward<TStart>(Start));
}

townsfolk_request FTownsfolkRequests::ListPersonas(FTownsfolkEventDelegate OnEvent)
{
	return Request(MoveTemp(OnEvent), townsfolk_list_personas);
}

townsfolk_request FTownsfolkRequests::Say(const FTownsfolkSay& Line, FTownsfolkEventDelegate OnEvent)
{
	const Townsfolk::FSayLine Native = Townsfolk::SayLineFrom(Line);
	const townsfolk_say_options Options = Native.Options();
	return Request(MoveTemp(OnEvent), [&Options](townsfolk_client* Client) { return townsfolk_say(Client, &Options); });
}

townsfolk_request FTownsfolkRequests::Compare(const FTownsfolkCompare& Comparison, FTownsfolkEventDelegate OnEvent)
{
	const std::string Text = Townsfolk::ToUtf8(Comparison.Text);
	const std::string Situation = Townsfolk::ToUtf8(Comparison.Situation);
	const FNativeVariants Variants(Comparison.Variants);
	townsfolk_compare_options Options = {};
	Options.struct_size = sizeof(Options);
	Options.text = Townsfolk::FSayLine::OrNull(Text);
	Options.situation = Townsfolk::FSayLine::OrNull(Situation);
	Options.variants = Variants.Pointers.data();
	Options.variant_count = Variants.Pointers.size();
	Options.top_tokens = CountFrom(Comparison.TopTokens);
	Options.sampling = Townsfolk::SamplingFrom(Comparison.Sampling);
	return Request(
		MoveTemp(OnEvent), [&Options](townsfolk_client* Client) { return townsfolk_compare(Client, &Options); });
}

townsfolk_request FTownsfolkRequests::Compose(const FTownsfolkStoryRequest& Story, FTownsfolkEventDelegate OnEvent)
{
	const std::string Idea = Townsfolk::ToUtf8(Story.Idea);
	const std::string Narrator = Townsfolk::ToUtf8(Story.NarratorPersonaId);
	const std::string Wish = Townsfolk::ToUtf8(Story.Wish);
	const std::string Style = Townsfolk::ToUtf8(Story.PictureStyle);
	const std::string Title = Townsfolk::ToUtf8(Story.Concept.Title);
	const std::string Hero = Townsfolk::ToUtf8(Story.Concept.Hero);
	const std::string Conflict = Townsfolk::ToUtf8(Story.Concept.Conflict);
	const std::string Place = Townsfolk::ToUtf8(Story.Concept.Place);
	const townsfolk_story_concept Earlier = {Title.c_str(), Hero.c_str(), Conflict.c_str(), Place.c_str()};
	const FNativeTexts Cast(Story.CastPersonaIds);
	townsfolk_compose_options Options = {};
	Options.struct_size = sizeof(Options);
	Options.idea = Townsfolk::FSayLine::OrNull(Idea);
	Options.narrator_persona_id = Townsfolk::FSayLine::OrNull(Narrator);
	Options.cast_persona_ids = Cast.Pointers.data();
	Options.cast_count = Cast.Pointers.size();
	Options.story_concept = Title.empty() ? nullptr : &Earlier;
	Options.wish = Townsfolk::FSayLine::OrNull(Wish);
	Options.picture_style = Townsfolk::FSayLine::OrNull(Style);
	Options.picture_count = CountFrom(Story.PictureCount);
	Options.picture_width = CountFrom(Story.PictureWidth);
	Options.picture_height = CountFrom(Story.PictureHeight);
	Options.target_words = CountFrom(Story.TargetWords);
	Options.deadline_s = Story.DeadlineSeconds;
	Options.sampling = Townsfolk::SamplingFrom(Story.Sampling);
	return Request(
		MoveTemp(OnEvent), [&Options](townsfolk_client* Client) { return townsfolk_compose(Client, &Options); });
}

townsfolk_request FTownsfolkRequests::OpenSession(const FString& SessionId, const TArray<FString>& PersonaIds,
	const FString& PlayerName, FTownsfolkEventDelegate OnEvent)
{
	const FNativeTexts Ids(PersonaIds);
	const std::string Session = Townsfolk::ToUtf8(SessionId);
	const std::string Player = Townsfolk::ToUtf8(PlayerName);
	townsfolk_session_options Options = {};
	Options.struct_size = sizeof(Options);
	Options.session_id = Townsfolk::FSayLine::OrNull(Session);
	Options.persona_ids = Ids.Pointers.data();
	Options.persona_count = Ids.Pointers.size();
	Options.player_name = Townsfolk::FSayLine::OrNull(Player);
	return Request(
		MoveTemp(OnEvent), [&Options](townsfolk_client* Client) { return townsfolk_open_session(Client, &Options); });
}

townsfolk_request FTownsfolkRequests::CloseSession(const FString& SessionId, FTownsfolkEventDelegate OnEvent)
{
	const std::string Session = Townsfolk::ToUtf8(SessionId);
	return Request(MoveTemp(OnEvent),
		[&Session](townsfolk_client* Client) { return townsfolk_close_session(Client, Session.c_str()); });
}

townsfolk_request FTownsfolkRequests::SaveSession(const FString& SessionId, FTownsfolkEventDelegate OnEvent)
{
	const std::string Session = Townsfolk::ToUtf8(SessionId);
	return Request(MoveTemp(OnEvent),
		[&Session](townsfolk_client* Client) { return townsfolk_save_session(Client, Session.c_str()); });
}

townsfolk_request FTownsfolkRequests::RestoreSession(
	const TArray<uint8>& Save, const FString& SessionId, FTownsfolkEventDelegate OnEvent)
{
	const std::string Session = Townsfolk::ToUtf8(SessionId);
	return Request(MoveTemp(OnEvent),
		[&](townsfolk_client* Client)
		{
			return townsfolk_restore_session(
				Client, Save.GetData(), static_cast<size_t>(Save.Num()), Townsfolk::FSayLine::OrNull(Session));
		});
}

townsfolk_request FTownsfolkRequests::ForkSession(
	const FString& SessionId, const FString& NewSessionId, FTownsfolkEventDelegate OnEvent)
{
	const std::string Session = Townsfolk::ToUtf8(SessionId);
	const std::string NewSession = Townsfolk::ToUtf8(NewSessionId);
	return Request(MoveTemp(OnEvent), [&](townsfolk_client* Client)
		{ return townsfolk_fork_session(Client, Session.c_str(), Townsfolk::FSayLine::OrNull(NewSession)); });
}

townsfolk_request FTownsfolkRequests::Execute(const FString& Line, FTownsfolkEventDelegate OnEvent)
{
	const std::string Native = Townsfolk::ToUtf8(Line);
	return Request(MoveTemp(OnEvent),
		[&Native](townsfolk_client* Client) { return townsfolk_console_execute(Client, Native.c_str(), nullptr, 0); });
}

townsfolk_request FTownsfolkRequests::Complete(const FString& Line, FTownsfolkEventDelegate OnEvent)
{
	const std::string Native = Townsfolk::ToUtf8(Line);
	return Request(MoveTemp(OnEvent), [&Native](townsfolk_client* Client)
		{ return townsfolk_console_complete(Client, Native.c_str(), -1, nullptr); });
}

void FTownsfolkRequests::Cancel(townsfolk_request Number)
{
	if (Core)
	{
		Core->Cancel(Number);
	}
}
