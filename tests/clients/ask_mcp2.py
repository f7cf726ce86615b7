"""The official Python client, 2.x line (MCP 2026-07-28): a result that asks, and the call made again with the answers."""

import asyncio
import json
import os

import httpx2
from mcp import Client, types
from mcp.client.streamable_http import streamable_http_client


def text(result):
    data = result.model_dump(by_alias=True)
    return " ".join(c.get("text", "") for c in data["content"] if c["type"] == "text")


async def main():
    asked = []

    async def sample(_context, params):
        asked.append("sampling")
        said = types.TextContent(type="text", text="hello")
        return types.CreateMessageResult(role="assistant", content=said, model="fake", stop_reason="endTurn")

    async def elicit(_context, params):
        asked.append("elicitation")
        return types.ElicitResult(action="accept", content={"name": "Ada", "color": "green"})

    async def roots(_context):
        asked.append("roots")
        return types.ListRootsResult(roots=[types.Root(uri="file:///srv/client/project", name="work")])

    headers = {"Authorization": "Bearer " + os.environ["TOKEN"]}
    callbacks = {"sampling_callback": sample, "elicitation_callback": elicit, "list_roots_callback": roots}
    async with httpx2.AsyncClient(headers=headers, timeout=120) as http:
        async with Client(streamable_http_client(os.environ["GATEWAY"], http_client=http), **callbacks) as client:
            three = await client.call_tool("test_input_required_result_multiple_inputs", {})
            twice = await client.call_tool("test_input_required_result_multi_round", {})
            print(json.dumps({"asked": sorted(asked), "three": text(three), "twice": text(twice)}))


asyncio.run(main())
