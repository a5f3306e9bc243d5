"""What a user would write without this package: plain aiohttp, httpx, other decoders."""
