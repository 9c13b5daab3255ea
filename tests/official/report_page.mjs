// A report in a browser, as its readers have it: what it shows and does, as JSON on stdout.
// Arguments: playwright-core's folder, the browser, the page's file, a folder for screenshots.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [playwright, executablePath, file, screenshots] = process.argv.slice(2);
const { chromium } = createRequire(import.meta.url)(playwright);
const address = pathToFileURL(file).href;

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
const complaints = [];

/** What `look` finds in the page, opened in a browser with these `options`. */
async function open(name, options, look, hash = "") {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(40_000);
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (dialog) => complaints.push(`dialog ${dialog.message()}`));
  page.on("request", (request) => request.url().startsWith("file:") || complaints.push(request.url()));
  await page.goto(address + hash);
  const found = await look(page);
  await page.screenshot({ path: `${screenshots}/${name}.png` });
  await context.close();
  return found;
}

const shown = (page) =>
  page.$$eval("article", (all) => all.filter((one) => one.checkVisibility()).map((one) => one.id));

/** The contrast of text with what is behind it, the least of all; and the page's own colours. */
const colours = (page) =>
  page.evaluate(() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = ([red, green, blue]) => {
      const [r, g, b] = [red, green, blue]
        .map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const colour = rgba(getComputedStyle(at).backgroundColor);
        if (colour[3] === 255) return colour;
      }
      return [255, 255, 255];
    };
    let least = [99, ""];
    for (const element of document.querySelectorAll("body *")) {
      const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
      if (!own || !element.checkVisibility() || element.matches(".unseen, .skip, script")) continue;
      const [a, b] = [light(rgba(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
      const contrast = (a + 0.05) / (b + 0.05);
      if (contrast < least[0]) least = [contrast, element.outerHTML.slice(0, 200)];
    }
    const body = getComputedStyle(document.body);
    return { text: rgba(body.color), page: rgba(body.backgroundColor), least };
  });

const all = {};
try {
  all.light = await open("light", { colorScheme: "light" }, colours);
  all.dark = await open("dark", { colorScheme: "dark" }, colours);
  all.switched = await open("switched", { colorScheme: "light" }, async (page) => {
    await page.getByLabel("Dark").check({ force: true });
    return colours(page);
  });
  all.headings = await open("headings", {}, (page) =>
    page.$$eval("h1, h2, h3, h4", (found) => found.map((one) => Number(one.tagName[1]))),
  );
  all.landmarks = await open("landmarks", {}, async (page) => {
    const counts = {};
    for (const role of ["banner", "navigation", "main", "search", "contentinfo"]) {
      counts[role] = await page.getByRole(role).count();
    }
    counts.nameless = await page.$$eval("a, button, input", (found) =>
      found.filter((one) => !(one.textContent || one.ariaLabel || one.labels?.length)).map((one) => one.outerHTML),
    );
    return counts;
  });
  all.phone = await open("phone", { viewport: { width: 360, height: 740 } }, (page) =>
    page.evaluate(() => ({ wide: document.documentElement.scrollWidth, screen: innerWidth })),
  );
  all.scriptless = await open("scriptless", { javaScriptEnabled: false }, async (page) => {
    const before = await shown(page);
    await page.locator("label.failed").click();
    return { before, after: await shown(page), search: await page.locator("#search").isVisible() };
  });
  all.searched = await open("searched", {}, async (page) => {
    await page.keyboard.press("/");
    await page.keyboard.type("PUSH(3)");
    await page.locator("#found").filter({ hasText: /^1 of/ }).waitFor(); // each key looks for what is there so far
    const found = { told: await page.locator("#found").textContent(), events: await shown(page) };
    await page.keyboard.press("Escape");
    return { ...found, after: (await shown(page)).length };
  });
  all.keys = await open("keys", {}, async (page) => {
    const at = [];
    for (const key of ["j", "j", "k", "f", "f", "f", "j"]) {
      await page.keyboard.press(key);
      at.push(await page.evaluate(() => document.activeElement.closest("article")?.id));
    }
    const before = await page.evaluate(() => document.activeElement.parentElement.open);
    await page.keyboard.press("Enter");
    return { at, toggled: before !== (await page.evaluate(() => document.activeElement.parentElement.open)) };
  });
  all.linked = await open(
    "linked",
    {},
    async (page) => {
      await page.locator("#close-all").click();
      await page.locator(".mark").nth(3).click();
      await page.locator("#e3 .body").waitFor();
      const box = await page.locator("#e3 summary").boundingBox();
      return { url: new URL(page.url()).hash, inView: box.y >= 0 && box.y < 900 };
    },
    "#e1",
  );
  all.printed = await open("printed", {}, async (page) => {
    await page.locator("#close-all").click();
    await page.emulateMedia({ media: "print" });
    return { tools: await page.locator(".tools").isVisible(), code: await page.locator("#e3 pre.code").boundingBox() };
  });
  all.ran = await open("ran", {}, (page) => page.evaluate(() => [window.ran ?? null, document.scripts.length]));
  all.complaints = complaints;
  console.log(JSON.stringify(all));
} finally {
  await browser.close();
}
