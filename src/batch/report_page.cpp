#include "batch/report_page.h"

namespace t2v {

const char* const report_style = R"css(
:root { color-scheme: light dark; --line: color-mix(in srgb, CanvasText 16%, Canvas); --soft: color-mix(in srgb, CanvasText 62%, Canvas);
  --card: color-mix(in srgb, CanvasText 3%, Canvas); --done: #15803d; --failed: #dc2626; --waiting: #b45309; }
@media (prefers-color-scheme: dark) { :root { --done: #4ade80; --failed: #f87171; --waiting: #fbbf24; } }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.45 system-ui, sans-serif; background: Canvas; color: CanvasText; }
header, main, footer { max-width: 90rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 1.5rem; }
h1 { font-size: 1.35rem; margin: 0; overflow-wrap: anywhere; }
header p, footer p { margin: .25rem 0; color: var(--soft); }
form { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .6rem 1rem; align-items: center; padding: .75rem 0;
  background: Canvas; border-bottom: 1px solid var(--line); }
form[hidden] { display: none; }
form label { display: flex; gap: .4rem; align-items: center; }
input[type=search] { width: min(22rem, 60vw); }
input, select, button { font: inherit; padding: .25rem .5rem; border: 1px solid var(--line); border-radius: 6px; background: Canvas;
  color: CanvasText; }
output { color: var(--soft); margin-left: auto; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem; padding-top: 1rem; }
article { display: flex; flex-direction: column; border: 1px solid var(--line); border-radius: 10px; overflow: hidden;
  background: var(--card); content-visibility: auto; contain-intrinsic-size: auto 26rem; }
article[hidden] { display: none; }
article > :not(.picture) { margin: .35rem .75rem; }
.picture { aspect-ratio: 1; background: color-mix(in srgb, CanvasText 8%, Canvas); display: grid; place-items: center; }
.picture video, .picture img { width: 100%; height: 100%; object-fit: contain; display: block; }
.picture.small video, .picture.small img { image-rendering: pixelated; }
.picture.unplayable { outline: 2px solid var(--failed); outline-offset: -2px; }
.picture span { color: var(--soft); padding: 1rem; text-align: center; }
h2 { font-size: .95rem; font-weight: 600; overflow-wrap: anywhere; display: -webkit-box; -webkit-box-orient: vertical;
  -webkit-line-clamp: 5; overflow: hidden; flex: none; }
article:has(details[open]) h2 { display: block; }
.facts { color: var(--soft); font-size: .85rem; overflow-wrap: anywhere; }
.state { font-weight: 600; color: var(--waiting); }
[data-state=done] .state { color: var(--done); }
[data-state=failed] .state, [data-state=missing] .state, [data-state=changed] .state { color: var(--failed); }
.error { color: var(--failed); font-size: .85rem; overflow-wrap: anywhere; white-space: pre-wrap; }
details { font-size: .85rem; }
article > details:last-child { margin-bottom: .75rem; }
summary { cursor: pointer; color: var(--soft); }
dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem .75rem; margin: .4rem 0 0; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
footer { padding: 1.5rem 1.25rem 2.5rem; }
)css";

const char* const report_controls = R"html(<form hidden role="search">
<label>Find <input type="search" name="find" placeholder="prompt, seed, error" autocomplete="off"></label>
<label>State <select name="state"><option value="">all</option><option>done</option><option>failed</option><option>missing</option>
<option>changed</option><option>running</option><option>pending</option></select></label>
<label>Order <select name="sort"><option value="">as in the batch</option><option value="prompt">prompt</option>
<option value="seed">seed</option><option value="slowest">slowest first</option><option value="state">state</option></select></label>
<label><input type="checkbox" name="play" value="all"> Play all</label>
<output aria-live="polite"></output>
</form>
)html";

// The view is in the address after #, so that it can be sent on.
const char* const report_script = R"js('use strict';
const form = document.querySelector('form'), sheet = document.querySelector('main');
const clips = [...sheet.querySelectorAll('article')];
const text = new Map(clips.map(clip => [clip, clip.textContent.toLowerCase()]));
const number = (clip, key) => Number(clip.dataset[key]);
const orders = {
  '': (a, b) => number(a, 'order') - number(b, 'order'),
  prompt: (a, b) => a.querySelector('h2').textContent.localeCompare(b.querySelector('h2').textContent),
  seed: (a, b) => BigInt(a.dataset.seed) < BigInt(b.dataset.seed) ? -1 : BigInt(a.dataset.seed) > BigInt(b.dataset.seed) ? 1 : 0,
  slowest: (a, b) => number(b, 'seconds') - number(a, 'seconds'),
  state: (a, b) => a.dataset.state.localeCompare(b.dataset.state),
};
const moves = matchMedia('(prefers-reduced-motion: no-preference)').matches;
const run = video => video.play().catch(() => {});
const onScreen = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && form.play.checked) run(target); else target.pause();
  }
});
const watch = video => { onScreen.unobserve(video); onScreen.observe(video); };

function show() {
  const words = form.find.value.toLowerCase().split(/\s+/).filter(Boolean), state = form.state.value;
  let shown = 0;
  for (const clip of clips) {
    clip.hidden = (state && clip.dataset.state !== state) || !words.every(word => text.get(clip).includes(word));
    if (!clip.hidden) ++shown;
  }
  const order = orders[form.sort.value] || orders[''];
  sheet.append(...[...clips].sort((a, b) => order(a, b) || orders[''](a, b)));
  for (const video of sheet.querySelectorAll('video')) watch(video);
  form.querySelector('output').value = shown === clips.length ? `${shown} clips` : `${shown} of ${clips.length} clips`;
}

function fromAddress() {
  const view = new URLSearchParams(location.hash.slice(1));
  for (const name of ['find', 'state', 'sort']) form[name].value = view.get(name) || '';
  form.play.checked = view.get('play') === 'all';
  show();
}

form.addEventListener('input', () => {
  const view = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
  history.replaceState(null, '', '#' + view);
  show();
});
form.addEventListener('submit', event => event.preventDefault());
addEventListener('hashchange', fromAddress);
for (const video of sheet.querySelectorAll('video')) {
  const frame = video.parentElement;
  const ask = wanted => {
    video.controls = wanted;  // they would hide the picture
    if (!moves) return;
    if (wanted) run(video); else if (!form.play.checked) video.pause();
  };
  video.controls = false;
  video.tabIndex = 0;
  for (const event of ['pointerenter', 'focus']) video.addEventListener(event, () => ask(true));
  for (const event of ['pointerleave', 'blur']) video.addEventListener(event, () => ask(document.activeElement === video));
  video.addEventListener('playing', () => frame.classList.add('played'));
  video.addEventListener('error', () => {
    if (frame.classList.contains('unplayable')) return;
    frame.classList.add('unplayable');
    const why = document.createElement('p');
    why.className = 'error';
    why.textContent = 'This browser cannot play the clip, or its file is no longer beside the page.';
    frame.after(why);
  });
}
form.hidden = false;
fromAddress();
)js";

}  // namespace t2v
