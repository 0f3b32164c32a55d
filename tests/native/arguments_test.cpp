// What callers hand in: structs of other sizes, and arguments that cannot be right.
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <string>
#include <thread>

#include "game.h"

using game::Game;

namespace {

const char* const kNotUtf8 = "caf\xE9";

std::string last_error() { return townsfolk_last_error(); }

townsfolk_say_options line() {
  townsfolk_say_options options{};
  options.struct_size = sizeof(options);
  options.persona_id = "smith";
  options.text = "Hello.";
  return options;
}

// 0 was returned, and the sentence holds these words.
void expect_refused(townsfolk_request result, const char* words) {
  EXPECT_EQ(result, 0u) << words;
  EXPECT_NE(last_error().find(words), std::string::npos) << "\"" << last_error() << "\" lacks \"" << words << "\"";
}

void expect_no_client(const townsfolk_options* options, const char* words) {
  auto* client = reinterpret_cast<townsfolk_client*>(1);
  EXPECT_EQ(townsfolk_connect(options, &client), TOWNSFOLK_INVALID_ARGUMENT) << words;
  EXPECT_EQ(client, nullptr);
  EXPECT_NE(last_error().find(words), std::string::npos) << "\"" << last_error() << "\" lacks \"" << words << "\"";
}

}  // namespace

// ── struct_size ──

TEST(StructSize, OfAnOlderCallerLeavesWhatItDidNotKnowAtZero) {
  townsfolk_options options = game::nowhere();
  options.token = "not\na token";
  options.launch = 1;
  options.call_deadline_s = -1;
  expect_no_client(&options, "token");
  options.struct_size = offsetof(townsfolk_options, token);
  Game player(options);

  townsfolk_say_options say = line();
  say.priority = 99;
  say.deadline_s = -1;
  expect_refused(townsfolk_say(player.client(), &say), "priority");
  say.struct_size = offsetof(townsfolk_say_options, priority);
  EXPECT_NE(townsfolk_say(player.client(), &say), 0u) << last_error();
}

TEST(StructSize, ThatEndsBeforeWhatIsNeededLeavesItOut) {
  Game player(game::nowhere());
  townsfolk_say_options say = line();
  say.struct_size = offsetof(townsfolk_say_options, text);
  expect_refused(townsfolk_say(player.client(), &say), "text or situation must be given");
}

TEST(StructSize, OfANewerCallerIsReadAsFarAsItIsKnown) {
  struct {
    townsfolk_say_options known;
    unsigned char unknown[64];
  } newer;
  std::memset(&newer, 0xFF, sizeof(newer));
  newer.known = line();
  newer.known.struct_size = sizeof(newer);
  Game player(game::nowhere());
  EXPECT_NE(townsfolk_say(player.client(), &newer.known), 0u) << last_error();
}

TEST(StructSize, OfZeroIsRefusedEverywhere) {
  townsfolk_options options = game::nowhere();
  options.struct_size = 0;
  expect_no_client(&options, "townsfolk_options->struct_size");

  Game player(game::nowhere());
  townsfolk_say_options say = line();
  say.struct_size = 0;
  expect_refused(townsfolk_say(player.client(), &say), "townsfolk_say_options->struct_size");
  const auto scene = townsfolk_scene_open(player.client());
  expect_refused(townsfolk_scene_say(player.client(), scene, &say), "townsfolk_say_options->struct_size");
  townsfolk_session_options session{};
  expect_refused(townsfolk_open_session(player.client(), &session), "townsfolk_session_options->struct_size");
  townsfolk_compare_options comparison{};
  expect_refused(townsfolk_compare(player.client(), &comparison), "townsfolk_compare_options->struct_size");
  townsfolk_variant variant{};
  const townsfolk_variant* variants[] = {&variant};
  comparison.struct_size = sizeof(comparison);
  comparison.text = "Hello.";
  comparison.variants = variants;
  comparison.variant_count = 1;
  expect_refused(townsfolk_compare(player.client(), &comparison), "townsfolk_variant->struct_size");
}

TEST(StructSize, BeyondReasonIsRefused) {
  townsfolk_say_options say = line();
  say.struct_size = std::numeric_limits<std::size_t>::max();
  Game player(game::nowhere());
  expect_refused(townsfolk_say(player.client(), &say), "struct_size");
}

// ── NULL ──

TEST(Null, ClientIsRefusedEverywhere) {
  const townsfolk_say_options say = line();
  const uint8_t byte = 0;
  expect_refused(townsfolk_list_personas(nullptr), "client is NULL");
  expect_refused(townsfolk_open_session(nullptr, nullptr), "client is NULL");
  expect_refused(townsfolk_close_session(nullptr, "market"), "client is NULL");
  expect_refused(townsfolk_save_session(nullptr, "market"), "client is NULL");
  expect_refused(townsfolk_restore_session(nullptr, &byte, 1, nullptr), "client is NULL");
  expect_refused(townsfolk_fork_session(nullptr, "market", nullptr), "client is NULL");
  expect_refused(townsfolk_say(nullptr, &say), "client is NULL");
  expect_refused(townsfolk_scene_open(nullptr), "client is NULL");
  expect_refused(townsfolk_scene_say(nullptr, 1, &say), "client is NULL");
  expect_refused(townsfolk_scene_close(nullptr, 1), "client is NULL");
  expect_refused(townsfolk_cancel(nullptr, 1), "client is NULL");
  expect_refused(townsfolk_heard(nullptr, "turn", 1), "client is NULL");
  expect_refused(townsfolk_compare(nullptr, nullptr), "client is NULL");
  expect_refused(townsfolk_console_execute(nullptr, "help", nullptr, 0), "client is NULL");
  expect_refused(townsfolk_console_complete(nullptr, "he", -1, nullptr), "client is NULL");
  expect_refused(townsfolk_get_stats(nullptr), "client is NULL");
}

TEST(Null, PlaceForTheClientIsRefused) {
  EXPECT_EQ(townsfolk_connect(nullptr, nullptr), TOWNSFOLK_INVALID_ARGUMENT);
  EXPECT_EQ(last_error(), "client is NULL");
}

TEST(Null, OptionsMayBeNullOnlyWhereConnecting) {
  townsfolk_client* client = nullptr;
  EXPECT_EQ(townsfolk_connect(nullptr, &client), TOWNSFOLK_OK) << last_error();
  townsfolk_close(client);
  Game player(game::nowhere());
  expect_refused(townsfolk_say(player.client(), nullptr), "townsfolk_say_options is NULL");
  expect_refused(townsfolk_open_session(player.client(), nullptr), "townsfolk_session_options is NULL");
  expect_refused(townsfolk_compare(player.client(), nullptr), "townsfolk_compare_options is NULL");
}

TEST(Null, TextThatIsNeededIsRefused) {
  Game player(game::nowhere());
  expect_refused(townsfolk_close_session(player.client(), nullptr), "session_id is missing");
  expect_refused(townsfolk_save_session(player.client(), nullptr), "session_id is missing");
  expect_refused(townsfolk_fork_session(player.client(), nullptr, nullptr), "session_id is missing");
  expect_refused(townsfolk_restore_session(player.client(), nullptr, 7, nullptr), "bytes are missing");
  expect_refused(townsfolk_heard(player.client(), nullptr, 1), "turn_id is missing");
  const char* const personas[] = {"smith", nullptr};
  townsfolk_session_options session{};
  session.struct_size = sizeof(session);
  session.persona_count = 2;
  expect_refused(townsfolk_open_session(player.client(), &session), "a session needs a persona");
  session.persona_ids = personas;
  expect_refused(townsfolk_open_session(player.client(), &session), "persona_ids is missing");
}

// ── values ──

TEST(Options, ThatCannotBeRightGiveNoClient) {
  const auto with = [](auto change) {
    townsfolk_options options = game::nowhere();
    change(options);
    return options;
  };
  const auto expect = [](const townsfolk_options& options, const char* words) { expect_no_client(&options, words); };
  for (const char* address : {"localhost", "localhost:", ":50051", "localhost:http", "unix:"}) {
    expect(with([&](auto& options) { options.address = address; }), "is neither host:port nor unix:/path");
  }
  expect(with([](auto& options) { options.address = kNotUtf8; }), "address is not UTF-8");
  expect(with([](auto& options) { options.token = "open sesame"; }), "visible ASCII");
  expect(with([](auto& options) { options.max_waiting_events = 1u << 30; }), "max_waiting_events");
  for (const double wrong : {-1.0, std::nan(""), HUGE_VAL, 1e9}) {
    expect(with([&](auto& options) { options.call_deadline_s = wrong; }), "call_deadline_s must be");
    expect(with([&](auto& options) { options.turn_deadline_s = wrong; }), "turn_deadline_s must be");
  }
}

TEST(Options, WithATokenAndALaunchAreRefusedUnlessAnAddressIsGiven) {
  townsfolk_options options = game::nowhere();
  options.token = "open-sesame";
  options.launch = 1;
  Game player(options);  // has an address, so that nothing is launched
  options.address = nullptr;
  expect_no_client(&options, "token does not go with launch");
}

TEST(Options, ForTlsSayWhatToDoWhereItIsNotBuiltIn) {
  townsfolk_options options = game::nowhere();
  options.tls_certificate = "ca.pem";
  townsfolk_client* client = nullptr;
  const auto status = townsfolk_connect(&options, &client);
  EXPECT_EQ(client, nullptr);
  if (status == TOWNSFOLK_FAILED_PRECONDITION) {
    EXPECT_NE(last_error().find("-DTOWNSFOLK_TLS=ON"), std::string::npos) << last_error();
  } else {
    EXPECT_EQ(status, TOWNSFOLK_INVALID_ARGUMENT);
    EXPECT_NE(last_error().find("cannot be read"), std::string::npos) << last_error();
  }
}

TEST(Line, ThatCannotBeRightIsRefused) {
  Game player(game::nowhere());
  const auto expect = [&](auto change, const char* words) {
    townsfolk_say_options options = line();
    change(options);
    expect_refused(townsfolk_say(player.client(), &options), words);
  };
  expect([](auto& say) { say.persona_id = nullptr; }, "needs a persona_id");
  expect([](auto& say) { say.persona_id = "the smith"; }, "persona_id must be 1 to 128 characters");
  expect([](auto& say) { say.session_id = "a/b"; }, "session_id must be 1 to 128 characters");
  expect([](auto& say) { say.turn_id = "\xC3\xA4"; }, "turn_id must be 1 to 128 characters");
  expect([](auto& say) { say.text = nullptr; }, "text or situation must be given");
  expect([](auto& say) { say.text = ""; }, "text or situation must be given");
  expect([](auto& say) { say.text = kNotUtf8; }, "text is not UTF-8");
  expect([](auto& say) { say.situation = "\xED\xA0\x80"; }, "situation is not UTF-8");  // a surrogate
  expect([](auto& say) { say.priority = -1; }, "priority must be one of");
  expect([](auto& say) { say.deadline_s = std::nan(""); }, "deadline_s must be");
  expect([](auto& say) { say.sampling.set = 1u << 30; }, "sampling.set");
}

TEST(Line, OfASceneThatIsNotOpenIsRefused) {
  Game player(game::nowhere());
  const townsfolk_say_options say = line();
  const auto line_outside = townsfolk_say(player.client(), &say);
  expect_refused(townsfolk_scene_say(player.client(), 77, &say), "scene 77 is not open");
  expect_refused(townsfolk_scene_say(player.client(), line_outside, &say), "is not open");
  expect_refused(townsfolk_scene_close(player.client(), line_outside), "is not open");
  const auto scene = townsfolk_scene_open(player.client());
  EXPECT_EQ(townsfolk_scene_close(player.client(), scene), 1);
  expect_refused(townsfolk_scene_close(player.client(), scene), "is not open");
  expect_refused(townsfolk_scene_say(player.client(), scene, &say), "is not open");
}

TEST(Cancel, OfWhatHasEndedIsRefused) {
  Game player(game::nowhere());
  expect_refused(townsfolk_cancel(player.client(), 0), "has ended or was never made");
  expect_refused(townsfolk_cancel(player.client(), 5), "has ended or was never made");
  const auto call = townsfolk_list_personas(player.client());
  EXPECT_EQ(townsfolk_cancel(player.client(), call), 1);
  ASSERT_TRUE(player.poll_until_ended(call));
  EXPECT_EQ(player.end(call).status, TOWNSFOLK_CANCELLED);
  expect_refused(townsfolk_cancel(player.client(), call), "has ended or was never made");
}

TEST(Cancel, OfALineStillTellsWhatWasSpoken) {
  Game player(game::in_town());
  const auto spoken = player.say("smith", "Hold your tongue.");
  ASSERT_TRUE(player.poll_until([&] { return player.count(spoken, TOWNSFOLK_EVENT_SPEECH_DELTA) > 0; }));
  ASSERT_EQ(townsfolk_cancel(player.client(), spoken), 1);
  ASSERT_TRUE(player.poll_until_ended(spoken));
  EXPECT_EQ(player.end(spoken).kind, TOWNSFOLK_EVENT_FINISHED);
  EXPECT_EQ(player.end(spoken).text, "Hold");
  EXPECT_EQ(player.ends(spoken), 1);
}

TEST(Deadline, EndsRequestsThatFindNobodyAndSaysWhy) {
  auto options = game::nowhere();
  options.call_deadline_s = options.turn_deadline_s = 0.3;
  Game player(options);
  for (const auto request : {player.say("smith", "Hello."), townsfolk_list_personas(player.client())}) {
    ASSERT_TRUE(player.poll_until_ended(request));
    EXPECT_EQ(player.ends(request), 1);
    EXPECT_EQ(player.end(request).status, TOWNSFOLK_DEADLINE_EXCEEDED);
    EXPECT_NE(player.end(request).text.find("127.0.0.1:1"), std::string::npos) << player.end(request).text;
  }
}

TEST(LastError, IsEmptyAfterSuccessAndOfThisThreadOnly) {
  Game player(game::nowhere());
  expect_refused(townsfolk_list_personas(nullptr), "client is NULL");
  std::thread([] { EXPECT_EQ(last_error(), ""); }).join();
  EXPECT_EQ(last_error(), "client is NULL");
  EXPECT_NE(townsfolk_list_personas(player.client()), 0u);
  EXPECT_EQ(last_error(), "");
}

TEST(Version, OfTheInterfaceIsThatOfTheHeader) {
  EXPECT_EQ(townsfolk_abi_version(), static_cast<uint32_t>(TOWNSFOLK_ABI_VERSION));
  EXPECT_NE(std::string(townsfolk_version()), "");
}
