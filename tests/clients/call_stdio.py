"""The official Python client, 1.x line, over stdio: the bridge lets it in."""

import asyncio
import json
import os

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


def shown(result):
    return {"is_error": bool(result.isError), "text": " ".join(c.text for c in result.content if c.type == "text")}


async def main():
    args = ["mcp", "bridge", "--agent", os.environ["AGENT"], "--key", os.environ["KEY"], "--workflow", "answer", "--upstream", "orders"]
    bridge = StdioServerParameters(command=os.environ["REMIT"], args=args, env={"REMIT_ADDR": os.environ["REMIT_ADDR"]})
    async with stdio_client(bridge) as (read, write):
        async with ClientSession(read, write) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            allowed = await session.call_tool("order_status", {"order": "A-118"})
            denied = await session.call_tool("change_address", {"order": "A-118", "street": "x", "city": "y", "country": "z"})
            print(json.dumps({"tools": [t.name for t in tools], "allowed": shown(allowed), "denied": shown(denied)}))


asyncio.run(main())
