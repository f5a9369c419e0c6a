"""One recipe per paper; importing this package fills ``rules.ZOO``."""

from moo_mtl.rules.zoo import elementwise as elementwise
from moo_mtl.rules.zoo import equalising as equalising
from moo_mtl.rules.zoo import gramian as gramian
from moo_mtl.rules.zoo import key as key
from moo_mtl.rules.zoo import learned as learned
from moo_mtl.rules.zoo import loss_only as loss_only
from moo_mtl.rules.zoo import pace as pace
from moo_mtl.rules.zoo import population as population
from moo_mtl.rules.zoo import preference as preference
from moo_mtl.rules.zoo import robust as robust
from moo_mtl.rules.zoo import scalarizing as scalarizing
from moo_mtl.rules.zoo import stochastic as stochastic
