// A page of some origin that calls the server from the browser, as JSON on stdout: what it could do, or why not.
// Arguments: playwright-core's folder, the browser, the page's origin, the server's address, the session.

import { createRequire } from "node:module";

const [playwright, executablePath, origin, server, session] = process.argv.slice(2);
const { chromium } = createRequire(import.meta.url)(playwright);

const browser = await chromium.launch({
  executablePath,
  // The page is of no real host: the browser is to judge by its origin alone.
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-features=LocalNetworkAccessChecks"],
});
try {
  const page = await browser.newPage();
  await page.route(`${origin}/**`, (route) => route.fulfill({ contentType: "text/html", body: "<p>page" }));
  await page.goto(`${origin}/`);
  const told = await page.evaluate(
    async ({ server, session }) => {
      const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
      let asked = 0; // MCP has each id once in a session: the answer to one that comes again may go nowhere
      const post = (method, params, more) =>
        fetch(`${server}/mcp?session=${session}`, {
          method: "POST",
          headers: { ...headers, ...more },
          body: JSON.stringify({ jsonrpc: "2.0", id: ++asked, method, params }),
        });
      try {
        const hello = await post("initialize", {
          protocolVersion: "2025-11-25",
          capabilities: {},
          clientInfo: { name: "page", version: "1" },
        });
        const mine = { "mcp-session-id": hello.headers.get("mcp-session-id"), "mcp-protocol-version": "2025-11-25" };
        const call = { name: "run_js", arguments: { code: "1 + 2" } };
        const mcp = await (await post("tools/call", call, mine)).text();
        const gone = await fetch(`${server}/mcp`, { method: "DELETE", headers: mine });
        const rest = await fetch(`${server}/api/exec`, {
          method: "POST",
          headers,
          body: JSON.stringify({ code: "3 + 4", session }),
        });
        const stream = await new Promise((resolve, reject) => {
          const source = new EventSource(`${server}/sse`);
          source.addEventListener("endpoint", (event) => resolve(event.data));
          source.addEventListener("error", () => reject(new Error("no event stream")));
        });
        return { mcp, gone: gone.status, rest: (await rest.json()).result, stream };
      } catch (failure) {
        return { blocked: String(failure) };
      }
    },
    { server, session },
  );
  console.log(JSON.stringify(told));
} finally {
  await browser.close();
}
