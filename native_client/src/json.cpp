#include "json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/struct.pb.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <locale>
#include <sstream>
#include <string_view>

namespace townsfolk {

namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::ListValue;
using google::protobuf::Message;
using google::protobuf::Struct;
using google::protobuf::Value;

constexpr double kExactIntegers = 9007199254740992.0;  // 2^53

class JsonWriter {
 public:
  std::string text;

  void message(const Message& value) {
    if (const auto* object = dynamic_cast<const Struct*>(&value)) return structure(*object);
    const auto* descriptor = value.GetDescriptor();
    text += '{';
    for (int i = 0; i < descriptor->field_count(); ++i) {
      if (i > 0) text += ',';
      const FieldDescriptor* field = descriptor->field(i);
      string(field->name());
      text += ':';
      if (field->is_repeated()) {
        repeated(value, *field);
      } else {
        singular(value, *field);
      }
    }
    text += '}';
  }

 private:
  void structure(const Struct& object) {
    text += '{';
    const char* separator = "";
    for (const auto& [key, member] : object.fields()) {
      text += separator;
      separator = ",";
      string(key);
      text += ':';
      any(member);
    }
    text += '}';
  }

  void any(const Value& value) {
    switch (value.kind_case()) {
      case Value::kNumberValue:
        return number(value.number_value());
      case Value::kStringValue:
        return string(value.string_value());
      case Value::kBoolValue:
        return boolean(value.bool_value());
      case Value::kStructValue:
        return structure(value.struct_value());
      case Value::kListValue:
        return list(value.list_value());
      default:
        text += "null";
    }
  }

  void list(const ListValue& values) {
    text += '[';
    for (int i = 0; i < values.values_size(); ++i) {
      if (i > 0) text += ',';
      any(values.values(i));
    }
    text += ']';
  }

  void singular(const Message& owner, const FieldDescriptor& field) {
    const auto& reflection = *owner.GetReflection();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return integer(reflection.GetInt32(owner, &field));
      case FieldDescriptor::CPPTYPE_INT64:
        return integer(reflection.GetInt64(owner, &field));
      case FieldDescriptor::CPPTYPE_UINT32:
        return integer(reflection.GetUInt32(owner, &field));
      case FieldDescriptor::CPPTYPE_UINT64:
        return integer(reflection.GetUInt64(owner, &field));
      case FieldDescriptor::CPPTYPE_DOUBLE:
        return number(reflection.GetDouble(owner, &field));
      case FieldDescriptor::CPPTYPE_FLOAT:
        return number(static_cast<double>(reflection.GetFloat(owner, &field)));
      case FieldDescriptor::CPPTYPE_BOOL:
        return boolean(reflection.GetBool(owner, &field));
      case FieldDescriptor::CPPTYPE_ENUM:
        return string(reflection.GetEnum(owner, &field)->name());
      case FieldDescriptor::CPPTYPE_STRING:
        return string(reflection.GetString(owner, &field));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return message(reflection.GetMessage(owner, &field));
    }
  }

  void repeated(const Message& owner, const FieldDescriptor& field) {
    const auto& reflection = *owner.GetReflection();
    text += '[';
    for (int i = 0; i < reflection.FieldSize(owner, &field); ++i) {
      if (i > 0) text += ',';
      switch (field.cpp_type()) {
        case FieldDescriptor::CPPTYPE_INT32:
          integer(reflection.GetRepeatedInt32(owner, &field, i));
          break;
        case FieldDescriptor::CPPTYPE_INT64:
          integer(reflection.GetRepeatedInt64(owner, &field, i));
          break;
        case FieldDescriptor::CPPTYPE_UINT32:
          integer(reflection.GetRepeatedUInt32(owner, &field, i));
          break;
        case FieldDescriptor::CPPTYPE_UINT64:
          integer(reflection.GetRepeatedUInt64(owner, &field, i));
          break;
        case FieldDescriptor::CPPTYPE_DOUBLE:
          number(reflection.GetRepeatedDouble(owner, &field, i));
          break;
        case FieldDescriptor::CPPTYPE_FLOAT:
          number(static_cast<double>(reflection.GetRepeatedFloat(owner, &field, i)));
          break;
        case FieldDescriptor::CPPTYPE_BOOL:
          boolean(reflection.GetRepeatedBool(owner, &field, i));
          break;
        case FieldDescriptor::CPPTYPE_ENUM:
          string(reflection.GetRepeatedEnum(owner, &field, i)->name());
          break;
        case FieldDescriptor::CPPTYPE_STRING:
          string(reflection.GetRepeatedString(owner, &field, i));
          break;
        case FieldDescriptor::CPPTYPE_MESSAGE:
          message(reflection.GetRepeatedMessage(owner, &field, i));
          break;
      }
    }
    text += ']';
  }

  template <class Integer>
  void integer(Integer value) {
    text += std::to_string(value);
  }

  void boolean(bool value) { text += value ? "true" : "false"; }

  void number(double value) {
    if (!std::isfinite(value)) {
      text += "null";  // JSON knows no other word for it
    } else if (value == std::floor(value) && std::abs(value) < kExactIntegers) {
      integer(static_cast<std::int64_t>(value));
    } else {
      std::ostringstream digits;
      digits.imbue(std::locale::classic());  // a game may have set a locale with decimal commas
      digits.precision(17);
      digits << value;
      text += digits.str();
    }
  }

  void string(std::string_view value) {
    text += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') {
        text += '\\';
        text += c;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        char escaped[8];
        std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
        text += escaped;
      } else {
        text += c;
      }
    }
    text += '"';
  }
};

}  // namespace

std::string to_json(const Message& message) {
  JsonWriter writer;
  writer.message(message);
  return std::move(writer.text);
}

}  // namespace townsfolk
