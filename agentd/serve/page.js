// Pages are whole without this: it only fetches the page again where it changes by itself, and puts the new <main> in place.
"use strict";
(() => {
	const main = document.querySelector("main[data-live]");
	let wait = main ? Number(main.dataset.live) : 0;
	let failures = 0;

	const look = async () => {
		if (!document.hidden && !String(getSelection()) && document.activeElement?.tagName !== "INPUT") {
			try {
				const answer = await fetch(location.href, { cache: "no-store", credentials: "same-origin" });
				if (!answer.ok) throw new Error(answer.status);
				const page = new DOMParser().parseFromString(await answer.text(), "text/html");
				const fresh = page.querySelector("main[data-live]");
				const focus = document.activeElement && document.activeElement.getAttribute("href");
				main.replaceChildren(...fresh.childNodes);
				if (focus) main.querySelector(`a[href="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
				document.title = page.title;
				wait = Number(fresh.dataset.live);
				failures = 0;
			} catch {
				failures++;
			}
		}
		if (wait > 0) setTimeout(look, wait * 1000 * Math.min(2 ** failures, 16));
	};
	if (wait > 0) setTimeout(look, wait * 1000);
})();
