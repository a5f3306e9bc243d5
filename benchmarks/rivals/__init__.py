"""What a user would write without this package: aiohttp by hand, httpx, other decoders."""
