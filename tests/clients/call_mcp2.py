"""The official Python client, 2.x line (MCP 2026-07-28), over Streamable HTTP: list, an allowed call, a denied call."""

import asyncio
import json
import os

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


def shown(result):
    data = result.model_dump(by_alias=True)
    text = " ".join(c.get("text", "") for c in data["content"] if c["type"] == "text")
    return {"is_error": bool(data.get("isError")), "text": text}


async def main():
    headers = {"Authorization": "Bearer " + os.environ["TOKEN"]}
    async with httpx2.AsyncClient(headers=headers, timeout=120) as http:
        async with Client(streamable_http_client(os.environ["GATEWAY"], http_client=http)) as client:
            tools = (await client.list_tools()).tools
            allowed = await client.call_tool("order_status", {"order": "A-118"})
            denied = await client.call_tool("change_address", {"order": "A-118", "street": "x", "city": "y", "country": "z"})
            print(json.dumps({"tools": [t.name for t in tools], "allowed": shown(allowed), "denied": shown(denied)}))


asyncio.run(main())
