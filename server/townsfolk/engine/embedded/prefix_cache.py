"""Keys and values of text that was read before: a radix tree over tokens, one tree per adapter.

After RadixAttention (Zheng et al. 2023, arXiv:2312.07104), with pages of one token, so that a session's second turn
pays for its new tokens alone. A tree is named by the adapter's digest and scale: keys and values computed under
another adapter, or under an older training of the same one, can never be met. Entries are copied into a line's KV
row when it starts, so nothing here is ever pinned.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch

from townsfolk.engine.embedded.kv_cache import KvCache, zeros_on_demand
from townsfolk.engine.embedded.spec import ModelSpec

TreeKey = tuple[str, float]  # adapter digest ("" for the base model) and scale


class _Node:
    __slots__ = ("children", "entries", "last_used", "parent", "tokens")

    def __init__(self, parent: _Node | None, tokens: list[int], entries: list[int]) -> None:
        self.parent = parent
        self.tokens = tokens
        self.entries = entries  # index into the arena, one per token
        self.children: dict[int, _Node] = {}
        self.last_used = 0


class PrefixCache:
    """Fixed memory for ``capacity`` tokens; the least recently used ends of the trees make room.

    Storage: ``[capacity, layers, 2, kv_heads, head_dim]``, so a token's entry is one piece of memory.
    """

    def __init__(self, spec: ModelSpec, capacity: int, dtype: torch.dtype, device: torch.device) -> None:
        self.capacity = capacity
        shape = (capacity, spec.num_layers, 2, spec.num_kv_heads, spec.head_dim)
        self._arena = zeros_on_demand(shape, dtype, device)
        self._free = list(range(capacity))
        self._roots: dict[TreeKey, _Node] = {}
        self._clock = itertools.count(1)

    @property
    def used(self) -> int:
        return self.capacity - len(self._free)

    def match(self, key: TreeKey, tokens: Sequence[int]) -> list[int]:
        """Arena entries of the longest known prefix of ``tokens``."""
        entries: list[int] = []
        for node, length in self._walk(key, tokens):
            entries += node.entries[:length]
        return entries

    def read(self, entries: list[int]) -> torch.Tensor:
        """Keys and values of arena entries, ``[n, layers, 2, kv_heads, head_dim]``."""
        return self._arena[torch.tensor(entries, dtype=torch.int64, device=self._arena.device)]

    def insert(self, key: TreeKey, tokens: Sequence[int], kv: KvCache, row: int) -> int:
        """Remember ``tokens``, whose keys and values are the front of ``row``. Returns how many were new.

        Where room cannot be made for all of them, a shorter prefix is remembered.
        """
        if self.capacity == 0 or not tokens:
            return 0
        node = root = self._roots.setdefault(key, _Node(None, [], []))
        known = 0
        for reached, length in self._walk(key, tokens):
            known += length
            node = reached if length == len(reached.tokens) else self._split(reached, length)
        wanted = len(tokens) - known
        self._make_room(wanted, keep=node)
        count = min(wanted, len(self._free))
        if count == 0:
            self._drop_if_empty(key)
            return 0
        entries = [self._free.pop() for _ in range(count)]
        self._arena[torch.tensor(entries, device=self._arena.device)] = kv.read(row, known, known + count)
        leaf = _Node(node, list(tokens[known : known + count]), entries)
        leaf.last_used = next(self._clock)
        node.children[leaf.tokens[0]] = leaf
        self._roots[key] = root  # making room may have emptied and dropped it
        return count

    def forget(self, digest: str) -> None:
        """Drop all that was computed under an adapter, at any scale."""
        for key in [k for k in self._roots if k[0] == digest]:
            for node in self._nodes(self._roots.pop(key)):
                self._free += node.entries

    def check_integrity(self) -> None:
        """Raise ``RuntimeError`` unless every entry is either free or owned by exactly one node."""
        owned = [e for root in self._roots.values() for node in self._nodes(root) for e in node.entries]
        if sorted(owned + self._free) != list(range(self.capacity)):
            raise RuntimeError(f"prefix cache: {len(owned)} owned + {len(self._free)} free != {self.capacity}")
        for root in self._roots.values():
            for node in self._nodes(root):
                if len(node.tokens) != len(node.entries):
                    raise RuntimeError("prefix cache: a node has more tokens than entries, or fewer")

    def _walk(self, key: TreeKey, tokens: Sequence[int]) -> Iterator[tuple[_Node, int]]:
        """Nodes along ``tokens`` and how many of each node's tokens agree; all nodes but the last agree fully."""
        node = self._roots.get(key)
        position = 0
        while node is not None and position < len(tokens):
            node = node.children.get(tokens[position])
            if node is None:
                return
            length = _common_length(node.tokens, tokens, position)
            last = length < len(node.tokens)  # told before the caller may split the node
            node.last_used = next(self._clock)
            yield node, length
            if last:
                return
            position += length

    def _split(self, node: _Node, length: int) -> _Node:
        """Cut a node in two; returns its upper half."""
        parent = node.parent
        assert parent is not None
        upper = _Node(parent, node.tokens[:length], node.entries[:length])
        upper.last_used = node.last_used
        parent.children[upper.tokens[0]] = upper
        node.tokens, node.entries, node.parent = node.tokens[length:], node.entries[length:], upper
        upper.children[node.tokens[0]] = node
        return upper

    def _make_room(self, wanted: int, keep: _Node) -> None:
        """Free entries until ``wanted`` are, taking the ends of least recently used leaves, never ``keep``'s line."""
        kept: set[int] = set()
        ancestor: _Node | None = keep
        while ancestor is not None:
            kept.add(id(ancestor))
            ancestor = ancestor.parent
        while len(self._free) < wanted:
            leaves = [n for r in self._roots.values() for n in self._nodes(r) if not n.children and id(n) not in kept]
            leaves = [n for n in leaves if n.parent is not None]
            if not leaves:
                return
            leaf = min(leaves, key=lambda n: n.last_used)
            cut = max(0, len(leaf.tokens) - (wanted - len(self._free)))
            self._free += leaf.entries[cut:]
            if cut:
                del leaf.tokens[cut:], leaf.entries[cut:]
            else:
                self._remove(leaf)

    def _remove(self, leaf: _Node) -> None:
        parent = leaf.parent
        assert parent is not None
        del parent.children[leaf.tokens[0]]
        if parent.parent is None and not parent.children:
            for key, root in list(self._roots.items()):
                if root is parent:
                    del self._roots[key]

    def _drop_if_empty(self, key: TreeKey) -> None:
        root = self._roots.get(key)
        if root is not None and not root.children:
            del self._roots[key]

    @staticmethod
    def _nodes(root: _Node) -> Iterator[_Node]:
        stack = [root]
        while stack:
            node = stack.pop()
            yield node
            stack += node.children.values()


def _common_length(node_tokens: list[int], tokens: Sequence[int], position: int) -> int:
    limit = min(len(node_tokens), len(tokens) - position)
    for i in range(limit):
        if node_tokens[i] != tokens[position + i]:
            return i
    return limit
