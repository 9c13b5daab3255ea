"""What is done with a store as a whole: checked, rid of what nobody needs, sessions taken out and in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import aclosing

from engine.admission import Admission
from engine.commands import Change, Changed, Import
from engine.errors import EngineError
from engine.events import Caller
from engine.looking import LooksBack
from engine.sessions import Sessions
from engine.soundness import Check, CheckedSession, CheckedStore
from engine.transfer import Imported, Transfer
from engine.upkeep import PURGE_SHARE, Garbage, Upkeep


class StoreCare:
    """Of one store. What takes long has the places of ``walks``.

    ``changed`` is told of imports. ``for_command``: whoever asks has the whole store, and waits.
    """

    def __init__(
        self,
        sessions: Sessions,
        upkeep: Upkeep,
        admission: Admission,
        walks: LooksBack,
        changed: Callable[[Change], object],
        *,
        for_command: bool,
    ) -> None:
        self._sessions = sessions
        self._upkeep = upkeep
        self._admission = admission
        self._walks = walks
        self._changed = changed
        self._for_command = for_command
        self._transfer = Transfer(sessions, None if for_command else sessions.policy)

    async def check(
        self, owner: str, tell: Callable[[CheckedSession], Awaitable[None]], *, whole: bool = False
    ) -> CheckedStore:
        """Whether an owner's sessions are stored as they were written; ``tell`` hears of each.

        ``whole``: all that is in the store, if it is open for a command. Raises Busy, StoreError.
        """
        sessions = self._sessions
        async with self._walks.place(owner):
            check = Check(sessions.log, sessions.blobs, None if whole and self._for_command else owner)
            async with aclosing(check.sessions()) as found:
                async for one in found:
                    await tell(one)
            return await check.result()

    async def garbage(self, owner: str) -> Garbage:
        """What is in the store that nobody needs, as asked by ``owner``. Raises Busy, StoreError."""
        async with self._walks.place(owner):
            return await self._upkeep.survey()

    async def collect_garbage(self, owner: str, tell: Callable[[Garbage], Awaitable[None]]) -> Garbage:
        """Remove it, in the name of nobody; ``tell`` hears how much that is so far.

        Raises Busy, StoreError.
        """
        async with self._walks.place(owner):
            return await self._upkeep.clean(tell, share=1.0 if self._for_command else PURGE_SHARE)

    async def export(self, owner: str, name: str, program: str) -> AsyncGenerator[bytes, None]:
        """The bytes of a portable file of the session as it is now, which names ``program`` as its maker.

        Raises NotFound; what is iterated raises StoreError or Unavailable, and is no whole file then.
        """
        return await self._transfer.export(owner, name, program)

    async def import_session(self, owner: str, source: AsyncIterable[bytes], caller: Caller) -> Imported:
        """Take in the session of a portable file, if it is the owner's.

        It is there when this returns, with its ids and those of all its events; nothing of it is if this
        raises: FileCorrupt, InvalidField, TooLarge, Conflict, TooManySessions, Busy, Unavailable, StoreError,
        or what ``source`` does.
        """
        self._admission.check_to_store()  # and no drain waits for a file that may take long to come
        command = Import(caller, lambda _: self._changed(command))
        try:
            imported = await self._transfer.import_session(owner, source)
        except EngineError as error:
            command.fail(error)
            raise
        position = imported.position
        command.session = position.name
        command.answer(Changed(position.session, position.head_seq if imported.is_new else None))
        return imported
