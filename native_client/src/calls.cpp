#include "calls.h"

namespace townsfolk {

void Call::release() { calls_.forget(*this); }

void Calls::adopt(std::shared_ptr<Call> call) {
  if (!token_.empty()) call->context.AddMetadata("authorization", "Bearer " + token_);
  Call* key = call.get();
  live_.emplace(key, std::move(call));
}

void Calls::forget(Call& call) { live_.erase(&call); }

void Calls::abandon_all() {
  for (const auto& [key, call] : live_) call->abandon();
}

}  // namespace townsfolk
