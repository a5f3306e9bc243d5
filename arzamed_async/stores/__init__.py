"""Token stores share tokens between processes, so that one requests a clinic's token and all of them use it.

`FileTokenStore` (extra `stores`) is for the processes of one user on one machine, `RedisTokenStore` (extra `redis`) for
many machines. Both are `arzamed_async.TokenStore`s.
"""

from ._file import FileTokenStore
from ._redis import RedisTokenStore

__all__ = ["FileTokenStore", "RedisTokenStore"]
