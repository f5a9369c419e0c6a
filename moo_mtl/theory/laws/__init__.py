"""The laws, by property: one file for each kind of statement."""

from collections.abc import Mapping

from moo_mtl.properties import Property
from moo_mtl.theory.law import Law
from moo_mtl.theory.laws import continuity, convergence, descent, invariance, noise, tasks, weights

LAWS: Mapping[Property, Law] = {
    law.property: law for part in (weights, descent, invariance, tasks, continuity, noise, convergence) for law in part.LAWS
}
