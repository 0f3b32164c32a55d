// Messages as JSON, for games that have no protobuf.
#pragma once

#include <google/protobuf/message.h>

#include <string>

namespace townsfolk {

// Every field by its name in the .proto file, unset ones included; 64-bit numbers as plain numbers; enum values by
// name. A `google.protobuf.Struct` becomes the object that it stands for.
std::string to_json(const google::protobuf::Message& message);

}  // namespace townsfolk
