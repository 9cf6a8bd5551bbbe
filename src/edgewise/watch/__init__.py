"""Views of runs from their logs, running or finished: in the terminal, as a page, as JSON."""

from edgewise.watch.command import main
from edgewise.watch.view import view
from edgewise.watch.watcher import Watcher

__all__ = ["Watcher", "main", "view"]
