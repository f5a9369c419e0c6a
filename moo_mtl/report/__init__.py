"""A run, or a folder of runs, as one HTML file that needs no network: ``report.write(folder, out)``."""

from moo_mtl.report.writing import Written as Written
from moo_mtl.report.writing import write as write
