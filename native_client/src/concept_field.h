// The field `concept` of messages. Some protobuf releases name its accessors otherwise, as C++20 has the word for
// itself.
#pragma once

#include <google/protobuf/message.h>

#include "townsfolk/v1/story.pb.h"

namespace townsfolk {

inline const v1::Concept& concept_of(const google::protobuf::Message& message) {
  const auto* field = message.GetDescriptor()->FindFieldByName("concept");
  return static_cast<const v1::Concept&>(message.GetReflection()->GetMessage(message, field));
}

inline v1::Concept& mutable_concept_of(google::protobuf::Message& message) {
  const auto* field = message.GetDescriptor()->FindFieldByName("concept");
  return static_cast<v1::Concept&>(*message.GetReflection()->MutableMessage(&message, field));
}

}  // namespace townsfolk
