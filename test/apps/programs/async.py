"""asyncio: an event loop over epoll, with sub-processes and tasks that sleep."""
import asyncio


async def ticker(name, n):
    total = 0
    for i in range(n):
        await asyncio.sleep(0.01)
        total += i
    return name, total


async def child(n):
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", f"for i in 1 2 3 4 5; do sleep 0.3; echo {n} $i; done", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return out.decode().split("\n")[-2], process.returncode


async def main():
    print("begun", flush=True)
    print(await asyncio.gather(ticker("a", 100), ticker("b", 150), child(1), child(2)), flush=True)


asyncio.run(main())
