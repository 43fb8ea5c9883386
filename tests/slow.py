"""The WSGI application with a year report that takes SECONDS, and adds a line to COMPUTED each time."""

import os
import time
from pathlib import Path
from typing import Any

from fintrack.wsgi import application as application
from reports import year_performance


def compute(**params: Any) -> list[Any]:
    with Path(os.environ["COMPUTED"]).open("a") as file:
        file.write("computed\n")
    time.sleep(float(os.environ["SECONDS"]))
    return year_performance.compute(**params)


object.__setattr__(year_performance.report, "compute", compute)
