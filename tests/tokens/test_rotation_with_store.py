"""docs/how-to/key-rotation.md: what replaces a token that a store shares."""

from __future__ import annotations

import asyncio

import pytest

from arzamed_async import ArzamedSession
from arzamed_async.testing import FakeArzamed, MemoryTokenStore


@pytest.mark.asyncio
async def test_forget_takes_the_stored_token_again_and_a_401_replaces_it_once_for_all() -> None:
    """With a token store `forget` requests no token; after a 401, all sessions together request one."""
    store = MemoryTokenStore()
    async with FakeArzamed() as fake:
        credentials = fake.add_clinic("Milano")
        sessions = [ArzamedSession(base_url=fake.base_url, token_store=store) for _ in range(3)]
        clinics = [session.clinic(credentials) for session in sessions]
        try:
            before = await clinics[0].token()
            sessions[0].forget(credentials)
            assert (await clinics[0].token()).access_token == before.access_token
            assert fake.token_requests("Milano") == 1
            await asyncio.gather(*[clinic.doctors.list() for clinic in clinics])
            fake.expire_tokens("Milano")
            await asyncio.gather(*[clinic.doctors.list() for clinic in clinics])
            tokens = {(await clinic.token()).access_token for clinic in clinics}
            assert len(tokens) == 1
            assert before.access_token not in tokens
            assert fake.token_requests("Milano") == 2
        finally:
            for session in sessions:
                await session.aclose()
