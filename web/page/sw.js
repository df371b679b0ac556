// Keeps the page for when there is no network. BUILD is replaced when it is built, so that a new one is fetched anew.

const NAME = 'sasnet-BUILD';
const ENGINE = new URL(location).searchParams.get('engine');
const FILES = ['./', 'index.html', 'style.css', 'app.js', 'viewer.js', 'picture.js', 'icon.svg', 'manifest.webmanifest',
  'samples/mosaic.jpg', 'samples/beads.jpg', 'sasnet/index.js', 'sasnet/worker.js', `sasnet/${ENGINE}/sasnet_web.js`,
  `sasnet/${ENGINE}/sasnet_web_bg.wasm`, 'sasnet/weights/small.safetensors', 'sasnet/weights/soft.safetensors'];

self.addEventListener('install', event => {
  event.waitUntil(caches.open(NAME).then(cache => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener('activate', event => {
  const old = names => names.filter(name => name.startsWith('sasnet-') && name !== NAME);
  event.waitUntil(caches.keys().then(names => Promise.all(old(names).map(name => caches.delete(name)))));
  event.waitUntil(self.clients.claim());
});

// What else the page asks for is kept when it comes.
self.addEventListener('fetch', event => {
  const { request } = event;
  if (request.method !== 'GET' || new URL(request.url).origin !== location.origin) return;
  event.respondWith(caches.open(NAME).then(async cache => {
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    const answer = await fetch(request);
    if (answer.ok) cache.put(request, answer.clone());
    return answer;
  }));
});
