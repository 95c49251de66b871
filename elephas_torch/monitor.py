"""`Monitor`: where the page of a fit is, for people and notebooks."""

from __future__ import annotations

import html
import logging
import sys
import time
from pathlib import Path
from typing import Any

from elephas_torch import page
from elephas_torch.errors import ElephasError
from elephas_torch.keras.progress import in_notebook
from elephas_torch.parameter.shards import ShardedServer
from elephas_torch.showing import Showing

logger = logging.getLogger(__name__)

_FRAME = 'width="100%" height="760" style="border:1px solid #8884;border-radius:8px"'
#: Seconds that a fit's server may take to leave its port.
LEAVING = 5.0
NO_FIT = "No fit has begun yet: the page is there from the beginning of a fit on."


class Monitor:
    """The page that shows a `SparkModel`'s fit, and the last one when it is over.

    `spark_model.monitor()` gives it; see docs/monitoring.md. In a notebook it shows itself, as the
    page in the cell. It is the same object for all fits of one `SparkModel`.

    Attributes:
        verbose: whether fits print their link.
        wanted: whether notebooks show the page, and not the link alone.
        keep: whether the page stays where it is when a fit is over.
    """

    def __init__(self) -> None:
        self.verbose = 0
        self.wanted = self.keep = False
        self._server: ShardedServer | None = None
        self._place: tuple[str, int, Any] | None = None
        self._link = ""
        self._token = ""
        self._story: dict[str, Any] | None = None
        self._showing: Showing | None = None

    @property
    def running(self) -> bool:
        """Whether a fit is going on."""
        return self._server is not None

    @property
    def url(self) -> str:
        """The page's link, with its token: who has it may look on, and stop the fit. After the fit
        it leads somewhere only with `keep`.

        Raises:
            ElephasError: no fit has begun.
        """
        if not self._link:
            raise ElephasError(NO_FIT)
        return self._link

    def stop(self, now: bool = False) -> None:
        """Stops the fit that is going on, as the page's buttons do.

        Args:
            now: at once. Default False: when the epoch is over.

        Raises:
            ElephasError: no fit is going on, or its workers can't be stopped so.
        """
        server = self._server
        if server is None:
            raise ElephasError("No fit is going on: there is nothing to stop.")
        with server.servers[0].client(timeout=30.0) as client:
            client.stop(now)

    def save(self, path: Any) -> Path:
        """Writes the last fit that is over as one HTML file; see `History.to_html`.

        Raises:
            ElephasError: there is none.
        """
        if self._story is None:
            raise ElephasError("No fit is over yet: there is nothing to save.")
        target = Path(path)
        target.write_text(page.document(self._story), encoding="utf-8")
        return target

    def close(self) -> None:
        """Ends a page that was kept."""
        self.keep = False
        self.make_room()

    def make_room(self) -> None:
        """Ends the page of the last fit, as the next one's server may want its port."""
        if self._showing is not None:
            self._showing.close()
        self._showing = None

    def begin(self, server: ShardedServer) -> None:
        """A fit begins; says where, if somebody wants to know."""
        self.make_room()
        first = server.servers[0]
        self._server, self._story = server, None
        self._link, self._token = server.link, first.page_token
        self._place = (first.host, first.address[1], first.identity)
        if self.verbose:
            self._tell()

    def end(self, story: dict[str, Any]) -> None:
        """The fit is over; its server goes on until this returns, and not much longer."""
        self._server, self._story = None, story

    def stay(self) -> None:
        """Keeps the page where it is when a fit is over; one that is over comes back."""
        self.keep = True
        if not self.running:
            self.settle()

    def settle(self) -> None:
        """The fit's server is gone, and its port is free."""
        if self.keep and self._showing is None and self._story is not None:
            assert self._place is not None
            end = time.monotonic() + LEAVING
            while self._showing is None:
                try:
                    self._showing = Showing(self._story, self._token, *self._place)
                except ElephasError as error:
                    if time.monotonic() > end:
                        logger.warning("The fit's page can't stay at its address: %s", error)
                        return
                    time.sleep(0.05)

    def _tell(self) -> None:
        if in_notebook():
            _display(self)
        elif sys.stdout.isatty():
            # Nowhere else: a token in a log is a token for all who read the log.
            print(f"Watch it at {self._link}", flush=True)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        if self._story is not None:
            text = html.escape(page.document(self._story))
            inside = f'sandbox="allow-scripts" srcdoc="{text}"'
            return f'<iframe title="The fit" {inside} {_FRAME}></iframe>'
        if not self._link:
            return "<p>The next fit shows its page in its own cell.</p>"
        link = html.escape(self._link)
        told = f'<p><a href="{link}" target="_blank" rel="noopener">Watch the fit</a></p>'
        if not self.wanted:
            return told
        return f'{told}<iframe title="The fit" src="{link}" {_FRAME}></iframe>'

    def __repr__(self) -> str:
        over = "no fit yet" if self._story is None else self._story["state"]
        return f"Monitor({'running' if self.running else over})"


def _display(monitor: Monitor) -> None:
    from IPython.display import display

    display(monitor)
