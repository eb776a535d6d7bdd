// Heat maps come one after another, those on the screen first; nothing waits for them.

import { Refused, explain } from "./api.js";

const AT_ONCE = 2; // one is computed while the next one travels

export class HeatMaps {
  constructor(tell) {
    this.tell = tell;
    this.waiting = new Map(); // frame -> file
    this.onScreen = new Set();
    this.running = 0;
    this.asking = new AbortController();
    this.addresses = [];
    this.observer = new IntersectionObserver((seen) => this.noticed(seen), { rootMargin: "300px" });
    this.enabled = true;
  }

  // Forget the cells of before.
  reset() {
    this.asking.abort();
    this.asking = new AbortController();
    this.waiting.clear();
    this.onScreen.clear();
    this.observer.disconnect();
    this.addresses.forEach((address) => URL.revokeObjectURL(address));
    this.addresses = [];
    this.running = 0;
    this.done = this.failed = 0;
    this.total = 0;
  }

  add(frame, file) {
    this.waiting.set(frame, file);
    this.total += 1;
    frame.classList.add("waiting");
    this.observer.observe(frame);
  }

  enable(enabled) {
    this.enabled = enabled;
    this.next();
  }

  noticed(seen) {
    for (const { target, isIntersecting } of seen) {
      if (isIntersecting) this.onScreen.add(target);
      else this.onScreen.delete(target);
    }
    this.next();
  }

  next() {
    while (this.enabled && this.running < AT_ONCE && this.waiting.size) {
      const shown = [...this.waiting.keys()].find((frame) => this.onScreen.has(frame));
      if (!shown) return; // what is not on the screen waits until it is
      const file = this.waiting.get(shown);
      this.waiting.delete(shown);
      this.observer.unobserve(shown);
      this.draw(shown, file);
    }
  }

  async draw(frame, file) {
    const { signal } = this.asking;
    this.running += 1;
    try {
      const { picture } = await explain(file, signal);
      const address = URL.createObjectURL(picture);
      this.addresses.push(address);
      const image = new Image();
      image.alt = `Grad-CAM of ${file.name}: orange where it speaks for ALL, blue where it speaks for hem`;
      image.src = address;
      frame.replaceChildren(image);
      this.done += 1;
    } catch (error) {
      if (signal.aborted) return;
      frame.textContent = error instanceof Refused ? error.message : "the heat map could not be shown";
      frame.classList.add("failed");
      this.failed += 1;
    }
    frame.classList.remove("waiting");
    this.running -= 1;
    this.tell(this.done, this.failed, this.total);
    this.next();
  }
}
