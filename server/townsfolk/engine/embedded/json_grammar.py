"""JSON schemas made into grammars for the model's tokenizer, by llguidance (https://github.com/guidance-ai/llguidance).

A schema comes from outside, so its size, the grammar made of it and the work of every step are bounded. Compiling
happens on a thread of its own, so that no step waits for it; the library is loaded with the first schema.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from logging import getLogger
from typing import TYPE_CHECKING, Any

from townsfolk.dialogue.tokenizer import without_added_tokens
from townsfolk.engine.embedded.guide import Guide, refused
from townsfolk.engine.json_schema import check_schema, check_schema_size
from townsfolk.errors import FailedPrecondition, TownsfolkError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

log = getLogger(__name__)

# For the deepest schema that is let through; see json_schema.MAX_SCHEMA_OBJECTS.
COMPILER_STACK_BYTES = 16 << 20
KEPT_GRAMMARS = 16  # for the next line with the same schema
# As json.dumps writes it. White space wherever JSON allows it is a trap: a small model may never come out of it.
LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
# What a hostile schema may cost: a compilation of some 100 ms, off the engine's thread; once a step of some 15 ms, with
# which the line ends; and 20 MB.
LIMITS: dict[str, Any] = {
    "initial_lexer_fuel": 200_000,
    "step_lexer_fuel": 50_000,
    "step_max_items": 5_000,
    "max_lexer_states": 10_000,
    "max_grammar_size": 50_000,
    "verbose_errors": False,
}


@dataclass(frozen=True, slots=True)
class Grammar:
    """A compiled schema. ``matcher`` stays at the beginning; ``eos_ids`` and ``vocab_size`` are the model's."""

    matcher: LLMatcher
    eos_ids: tuple[int, ...]
    vocab_size: int

    def guide(self, stop_ids: Iterable[int]) -> Guide:
        """For a line that ``stop_ids`` end, beside the model's own end-of-text tokens."""
        ends = [token for token in (*stop_ids, *self.eos_ids) if 0 <= token < self.vocab_size]
        return Guide(self.matcher.deep_copy(), self.eos_ids[0], ends)


class GrammarCompiler:
    """Compiles schemas for one model.

    Args:
        tokenizer_json: the Hugging Face ``tokenizers`` serialisation.
        eos_ids: the model's end-of-text tokens.
        vocab_size: width of its logits.
        wake: called from another thread whenever a schema has been compiled or refused.
    """

    def __init__(self, tokenizer_json: str, eos_ids: list[int], vocab_size: int, wake: Callable[[], None]) -> None:
        self._tokenizer_json, self._eos_ids, self._vocab_size = tokenizer_json, tuple(eos_ids), vocab_size
        self._wake = wake
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="grammar-compiler")
        self._grammars: OrderedDict[str, Future[Grammar]] = OrderedDict()
        self._tokenizer: LLTokenizer | None = None

    def compile(self, schema: str) -> Future[Grammar]:
        """The grammar of a JSON schema, known or soon.

        Raises ``InvalidArgument`` at once for a schema that is too long. The future raises ``InvalidArgument`` for
        what is wrong with the schema, ``FailedPrecondition`` where this installation or model can guide no line.
        """
        check_schema_size(schema)
        future = self._grammars.get(schema)
        if future is None:
            future = self._grammars[schema] = self._submit(schema)
            if len(self._grammars) > KEPT_GRAMMARS:
                self._grammars.popitem(last=False)
        self._grammars.move_to_end(schema)
        return future

    def close(self) -> None:
        """Compile nothing more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _submit(self, schema: str) -> Future[Grammar]:
        stack_bytes = threading.stack_size(COMPILER_STACK_BYTES)  # of the thread that the first call starts
        try:
            future = self._thread.submit(self._compile, schema)
        finally:
            threading.stack_size(stack_bytes)
        future.add_done_callback(lambda _: self._wake())
        return future

    def _compile(self, schema: str) -> Grammar:
        check_schema(schema)
        tokenizer = self._load_tokenizer()
        from llguidance import LLMatcher, LLParserLimits

        try:
            grammar = LLMatcher.grammar_from_json_schema(schema, overrides=LAYOUT)  # type: ignore[arg-type]
            matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=LLParserLimits(**LIMITS))
        except Exception as error:
            raise refused(str(error)) from error
        except BaseException as panic:  # how a mistake inside the library comes out, which is no Exception
            log.exception("llguidance failed")
            raise refused("the grammar compiler failed; simplify the schema") from panic
        if matcher.is_error():
            raise refused(matcher.get_error())
        return Grammar(matcher, self._eos_ids, self._vocab_size)

    def _load_tokenizer(self) -> LLTokenizer:
        if self._tokenizer is None:
            started = time.perf_counter()
            self._tokenizer = self._make_tokenizer()
            log.info("ready to guide lines, in %.2f s", time.perf_counter() - started)
        return self._tokenizer

    def _make_tokenizer(self) -> LLTokenizer:
        try:
            from llguidance import LLTokenizer
        except ImportError as error:
            raise FailedPrecondition(
                "lines that follow a JSON schema need llguidance; install it with: pip install 'townsfolk[embedded]'",
                field="json_schema",
            ) from error
        if not self._eos_ids:
            raise _unusable("it names no end-of-text token")
        try:
            return LLTokenizer(
                _with_names_nobody_can_write(self._tokenizer_json),
                n_vocab=self._vocab_size,
                eos_token=self._eos_ids[0],
                slices=LLTokenizer.json_slices(),
            )
        except Exception as error:
            raise _unusable(str(error)) from error
        except BaseException as panic:
            log.exception("llguidance failed")
            raise _unusable("it cannot be read") from panic


def _with_names_nobody_can_write(tokenizer_json: str) -> str:
    """The tokenizer with its control tokens renamed, each to a zero byte and its id: no JSON has that in it.

    By their own names a schema with the text ``<|im_end|>`` in it would make the model end its turn. They cannot simply
    be left out, because llguidance takes the number of tokens for the highest id.
    """
    original = json.loads(tokenizer_json)
    description = without_added_tokens(original)
    vocabulary: dict[str, int] = description["model"]["vocab"]
    ids = {*original["model"]["vocab"].values(), *(token["id"] for token in original.get("added_tokens") or [])}
    missing = sorted(set(range(max(ids) + 1)) - set(vocabulary.values()))
    flags = {"special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    vocabulary |= {f"\0{token_id}": token_id for token_id in missing}
    renamed = [{"id": token_id, "content": f"\0{token_id}", **flags} for token_id in missing]
    return json.dumps({**description, "added_tokens": renamed})


def _unusable(reason: str) -> TownsfolkError:
    return FailedPrecondition(f"this model's tokenizer can guide no line: {reason}", field="json_schema")
