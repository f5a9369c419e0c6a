"""Which engine looks at a batch; chosen once, and again only where rows are suddenly wanted."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from moo_mtl.engines import ENGINES, Choice, Look, NotBatchedError, Processes, choose, looped, reduced
from moo_mtl.engines import features as at_features
from moo_mtl.engines.passes import unspent
from moo_mtl.observation import Needs
from moo_mtl.rules.rule import Rule
from moo_mtl.training.accumulation import Batch

_ROWS = Needs.ROWS | Needs.CROSS


class Looking:
    """The engine of a Balancer.

    Args:
        engine: as the user asks for it, ``"auto"`` among them.
        rule: whose needs decide.
        shared: the parameters.
        by_column: whether some of their columns are told apart.
        across: the processes whose gradients are added up; ``None`` where there is one.

    Attributes:
        chosen: the engine last taken and why; ``None`` before the first look.
    """

    def __init__(
        self, engine: str, rule: Rule[Any], shared: Sequence[Tensor], by_column: bool, across: Processes | None
    ) -> None:
        self.engine, self.rule, self.shared, self.by_column, self.across = engine, rule, shared, by_column, across
        self.chosen: Choice | None = None
        self._choices: dict[bool, Choice] = {}
        self._rows: Tensor | None = None

    @unspent()
    def look(self, batch: Batch, *, gathering: bool, features: Tensor | None, retain_graph: bool) -> Look:
        """Look at the gradients of ``batch``.

        Args:
            batch: losses with their graph.
            gathering: whether rows are wanted to add them up over micro-batches.
            features: where the user says that the tasks meet.
            retain_graph: keep the graph for another use.

        Raises:
            InputError: the engine asked for cannot serve the rule, the options or the model; or the graph has been used up.
        """
        if gathering not in self._choices:
            self._choices[gathering] = choose(
                self.engine, batch.graph, self.shared, self.rule.name, self.rule.needs, self._rows_for(gathering)
            )
        self.chosen = self._choices[gathering]
        try:
            look = self._taken(batch, gathering, features, retain_graph)
        except NotBatchedError as error:
            why = f"this model cannot be batched ({error})"
            warnings.warn(f"engine {self.chosen.name!r}: {why}; one pass per task is made instead", stacklevel=4)
            self.chosen = self._choices[gathering] = Choice("looped", why)
            look = self._taken(batch, gathering, features, retain_graph)
        return look if self.across is None else reduced(look, self.across, batch.own)

    def _taken(self, batch: Batch, gathering: bool, features: Tensor | None, retain_graph: bool) -> Look:
        assert self.chosen is not None
        engine = ENGINES[self.chosen.name]
        if features is not None and engine is at_features:
            return at_features(batch.graph, self.shared, batch.own, retain_graph, batch.here, batch.seed, features)
        if engine is looped and not gathering and not self.rule.needs & _ROWS and batch.losses.device.type == "cpu":
            # Nobody sees the rows after the step, so the next one may write over them. An accelerator's allocator keeps them.
            look = looped(batch.graph, self.shared, batch.own, retain_graph, batch.here, batch.seed, self._rows, batch.hidden)
            self._rows = look.rows
            return look
        return engine(batch.graph, self.shared, batch.own, retain_graph, batch.here, batch.seed)

    def rows(self, batch: Batch) -> Tensor:
        """Rows of an independent batch, ``[..., K, D]``, from the engine that the step itself took."""
        assert self.chosen is not None
        rows = ENGINES[self.chosen[0]](batch.graph, self.shared, here=batch.here, seed=batch.seed).rows
        assert rows is not None
        return rows if self.across is None else self.across.sum(rows)

    def _rows_for(self, gathering: bool) -> str | None:
        if self.by_column:
            return "groups= and gramian_of= need"
        if gathering:
            return "accumulate= needs"
        return None if self.across is None or self.engine == "products" else "several processes need"
