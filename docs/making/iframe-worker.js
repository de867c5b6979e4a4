// The search of the site runs in a worker, and browsers start none for pages from disk. There a frame takes its place:
// it loads the same script, and the two windows send each other what page and worker would.
(() => {
  if (location.protocol !== "file:") return;

  // runs in the frame, so that the messages come from there
  const setUp = `
    const load = (source) => new Promise((loaded, failed) => {
      const script = document.createElement("script");
      script.src = source;
      script.onload = loaded;
      script.onerror = failed;
      document.body.append(script);
    });
    window.postMessage = (message) => parent.postMessage(message, "*");
    window.importScripts = (...sources) =>
      sources.reduce((before, source) => before.then(() => load(source)), Promise.resolve());`;

  class FrameWorker extends EventTarget {
    constructor(url) {
      super();
      this.onmessage = null;
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inside = this.frame.contentWindow;
      this.ready = new Promise((loaded) => this.frame.addEventListener("load", loaded, { once: true }));
      window.addEventListener("message", (event) => {
        if (event.source !== inside) return;
        const answer = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(answer);
        if (this.onmessage) this.onmessage(answer);
      });
      inside.document.open();
      inside.document.write(`<!doctype html><title>search</title><body><script>${setUp}</script>`);
      inside.document.write(`<script src="${url}"></script>`);
      inside.document.close();
    }

    postMessage(message) {
      this.ready.then(() => {
        const asked = new MessageEvent("message", { data: structuredClone(message) });
        this.frame.contentWindow.dispatchEvent(asked);
      });
    }

    terminate() {
      this.frame.remove();
    }
  }
  window.Worker = FrameWorker;
})();
