"""The official Python client, 1.x line, over Streamable HTTP: list, an allowed call, a denied call."""

import asyncio
import json
import os

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client


def shown(result):
    return {"is_error": bool(result.isError), "text": " ".join(c.text for c in result.content if c.type == "text")}


async def main():
    headers = {"Authorization": "Bearer " + os.environ["TOKEN"]}
    async with streamablehttp_client(os.environ["GATEWAY"], headers=headers) as (read, write, _):
        async with ClientSession(read, write) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            allowed = await session.call_tool("order_status", {"order": "A-118"})
            denied = await session.call_tool("change_address", {"order": "A-118", "street": "x", "city": "y", "country": "z"})
            print(json.dumps({"tools": [t.name for t in tools], "allowed": shown(allowed), "denied": shown(denied)}))


asyncio.run(main())
