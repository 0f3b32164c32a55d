// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.

#include "TownsfolkComposeStoryAction.h"

#include "Engine/Texture2D.h"
#include "ImageUtils.h"
#include "TownsfolkConvert.h"

UTownsfolkComposeStoryAction* UTownsfolkComposeStoryAction::ComposeStory(
	UObject* WorldContextObject, const FTownsfolkStoryRequest& Request)
{
	UTownsfolkComposeStoryAction* Action = NewObject<UTownsfolkComposeStoryAction>();
	Action->Asked = Request;
	Action->Bind(WorldContextObject);
	return Action;
}

void UTownsfolkComposeStoryAction::Activate()
{
	if (!Connect().IsValid())
	{
		Fail(Townsfolk::ErrorFrom(TOWNSFOLK_FAILED_PRECONDITION, "Compose Story needs a running game.", "", 0));
		return;
	}
	Requests.Compose(Asked, FTownsfolkEventDelegate::CreateUObject(this, &UTownsfolkComposeStoryAction::HandleEvent));
}

void UTownsfolkComposeStoryAction::HandleEvent(const townsfolk_event& Event)
{
	if (!ShouldBroadcastDelegates())
	{
		return;
	}
	if (Event.kind == TOWNSFOLK_EVENT_ERROR)
	{
		Fail(Townsfolk::ErrorFrom(Event));
	}
	else if (Event.story != nullptr)
	{
		HandleStory(Event, *Event.story);
	}
}

void UTownsfolkComposeStoryAction::HandleStory(const townsfolk_event& Event, const townsfolk_story& Told)
{
	const ETownsfolkStoryPart Part = Townsfolk::StoryPartFrom(Told.part);
	const FString Written = Townsfolk::FromUtf8(Event.text);
	switch (Event.kind)
	{
	case TOWNSFOLK_EVENT_STORY_PART_STARTED:
		Tell(OnPartStarted, Part, FString());
		break;
	case TOWNSFOLK_EVENT_STORY_DELTA:
		Tell(OnTextDelta, Part, Written);
		break;
	case TOWNSFOLK_EVENT_STORY_PART_FINISHED:
		if (Part == ETownsfolkStoryPart::Concept)
		{
			Story.Concept = Townsfolk::StoryConceptFrom(Told.story_concept);
		}
		if (Part == ETownsfolkStoryPart::Story)
		{
			Story.Text = Written;
		}
		Tell(OnPartFinished, Part, Written, 1.0f);
		break;
	case TOWNSFOLK_EVENT_STORY_PART_FAILED:
		Tell(OnPictureFailed, Part, FString(), 0.0f, nullptr, Townsfolk::ErrorFrom(Event));
		break;
	case TOWNSFOLK_EVENT_PICTURE_PROGRESS:
		Tell(OnPictureProgress, Part, FString(),
			static_cast<float>(Told.step) / static_cast<float>(FMath::Max(Told.total_steps, 1u)));
		break;
	case TOWNSFOLK_EVENT_PICTURE:
		ShowPicture(Event, Townsfolk::FromUtf8(Told.prompt));
		break;
	case TOWNSFOLK_EVENT_STORY_FINISHED:
		Story.Text = Written;
		Story.TotalSeconds = static_cast<float>(Told.total_s);
		Tell(OnFinished, ETownsfolkStoryPart::Story, Written, 1.0f);
		End();
		break;
	default:
		break;
	}
}

void UTownsfolkComposeStoryAction::ShowPicture(const townsfolk_event& Event, const FString& Prompt)
{
	// The client refuses pictures above 16 MiB.
	const TArray<uint8> File(Event.bytes, static_cast<int32>(Event.byte_count));
	UTexture2D* Picture = FImageUtils::ImportBufferAsTexture2D(File);
	if (Picture == nullptr)
	{
		const std::string Why = std::string("Unreal cannot read a picture that is ") + Event.story->media_type + ".";
		Tell(OnPictureFailed, ETownsfolkStoryPart::Picture, Prompt, 0.0f, nullptr,
			Townsfolk::ErrorFrom(TOWNSFOLK_UNIMPLEMENTED, Why, "", 0));
		return;
	}
	Story.Pictures.Add(Picture);
	Tell(OnPicture, ETownsfolkStoryPart::Picture, Prompt, 1.0f, Picture);
}

void UTownsfolkComposeStoryAction::Tell(const FTownsfolkStoryOutput& Output, ETownsfolkStoryPart Part,
	const FString& Written, float Fraction, UTexture2D* Picture, const FTownsfolkError& Error)
{
	Output.Broadcast(Part, Written, Fraction, Picture, Story, Error);
}

void UTownsfolkComposeStoryAction::Fail(const FTownsfolkError& Error)
{
	Tell(OnFailed, ETownsfolkStoryPart::Unknown, FString(), 0.0f, nullptr, Error);
	End();
}
