// The Inspector's page as its user: connect, list the tools, run code in a session, see the result.
// Arguments: playwright-core's folder, the browser, the page's address, the session, where to put a screenshot.

import { createRequire } from "node:module";

const [playwright, executablePath, address, session, screenshot] = process.argv.slice(2);
const { chromium } = createRequire(import.meta.url)(playwright);

// Without its own sandbox it starts as root too; it opens nothing but the page.
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
let page;
try {
  page = await browser.newPage();
  page.setDefaultTimeout(40_000);
  const origin = new URL(address).origin;
  // its fonts are elsewhere
  await page.route(
    (url) => url.origin !== origin,
    (route) => route.abort(),
  );
  await page.goto(address);
  await page.getByText("Disconnected", { exact: true }).waitFor();
  const connected = page.getByText("Connected", { exact: true });
  for (let attempts = 5; attempts; attempts--) {
    // a click before the page listens is lost; one while it connects would end that
    if (await page.getByText("Disconnected", { exact: true }).isVisible()) {
      await page.getByRole("switch", { name: /^Connect or disconnect/ }).click({ force: true });
    }
    await connected.waitFor({ timeout: 8_000 }).catch(() => {});
    if (await connected.isVisible()) break;
  }
  await connected.waitFor();
  await page.getByText("Tools", { exact: true }).click();
  for (const tool of ["get_execution_output", "cancel_execution", "run_js"]) {
    await page.getByText(tool, { exact: true }).waitFor();
  }
  await page.getByText("run_js", { exact: true }).click();
  await page.getByLabel(/^code/).fill("console.log('hello'); 1 + 2");
  await page.getByLabel(/^session/).fill(session);
  await page.getByRole("button", { name: "Execute Tool" }).click();
  await page.getByText(`hello\n=> 3\n[${session}@1]`).waitFor();
  await page.getByText("hello", { exact: true }).waitFor(); // among the logs
} catch (failure) {
  console.error(await page?.innerText("body"));
  throw failure;
} finally {
  await page?.screenshot({ path: screenshot });
  await browser.close();
}
