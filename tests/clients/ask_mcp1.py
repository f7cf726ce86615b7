"""The official Python client, 1.x line: what a server asks it in the middle of a call, and what it hears of a resource."""

import asyncio
import json
import os

from mcp import ClientSession, types
from mcp.client.streamable_http import streamablehttp_client

RESOURCE = "demo://resource/dynamic/text/1"


def text(result):
    return " ".join(c.text for c in result.content if c.type == "text")


async def main():
    asked, told = [], asyncio.Event()

    async def sample(_context, params):
        asked.append("sampling")
        said = types.TextContent(type="text", text="sampled by the client")
        return types.CreateMessageResult(role="assistant", content=said, model="fake", stopReason="endTurn")

    async def elicit(_context, params):
        asked.append("elicitation")
        return types.ElicitResult(action="accept", content={"name": "Ada", "check": True})

    async def roots(_context):
        asked.append("roots")
        return types.ListRootsResult(roots=[types.Root(uri="file:///srv/client/project", name="work")])

    async def hear(message):
        note = getattr(message, "root", message)
        if isinstance(note, types.ResourceUpdatedNotification) and str(note.params.uri) == RESOURCE:
            told.set()

    headers = {"Authorization": "Bearer " + os.environ["TOKEN"]}
    async with streamablehttp_client(os.environ["GATEWAY"], headers=headers) as (read, write, _):
        callbacks = {"sampling_callback": sample, "elicitation_callback": elicit, "list_roots_callback": roots}
        async with ClientSession(read, write, message_handler=hear, **callbacks) as session:
            await session.initialize()
            sampled = await session.call_tool("trigger-sampling-request", {"prompt": "say something", "maxTokens": 20})
            elicited = await session.call_tool("trigger-elicitation-request", {})
            rooted = await session.call_tool("get-roots-list", {})
            await session.subscribe_resource(RESOURCE)
            await session.call_tool("toggle-subscriber-updates", {})
            await asyncio.wait_for(told.wait(), 60)
            await session.unsubscribe_resource(RESOURCE)
            # Off again, for who comes next in the same run.
            await session.call_tool("toggle-subscriber-updates", {})
            print(json.dumps({"asked": asked, "sampled": text(sampled), "elicited": text(elicited), "rooted": text(rooted)}))


asyncio.run(main())
