"""Networks that tests build: small, and reading one way, so that windows join exactly."""

from dataclasses import replace

from s2svr.models import PRESETS

ONE_WAY = replace(PRESETS["sr-light"], bidirectional=False, deep=False)
TINY = replace(ONE_WAY, channels=4, feedback=4, attention=4)
