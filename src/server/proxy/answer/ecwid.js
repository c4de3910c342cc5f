// Doorward for Ecwid: who signs out of the store is signed out of the site, too.
//
//   <script src="/_doorward/ecwid.js"></script>     before Ecwid's own script, neither async nor defer
//
// Ecwid.Customer.signOut(callback) then also ends the site's session at Doorward, and so does Ecwid's own button.
// Pages without Ecwid call Doorward.signOut(), which returns a promise. Attributes of the element, all optional:
//
//   data-logout        where the site's session ends; left out: `logout` in the folder of this script
//   data-timeout       how long Ecwid and the site may take, in milliseconds; left out: 8000
//   data-token-source  where the page keeps the site's token, if not in an HttpOnly cookie, which browsers send by
//                      themselves: localStorage:KEY, sessionStorage:KEY, cookie:NAME or meta:NAME
(function () {
  'use strict';

  if (window.Doorward) {
    return; // included twice
  }
  const script = document.currentScript;
  const logout = new URL(script.dataset.logout || 'logout', script.src).href;
  const timeout = Number(script.dataset.timeout) || 8000;

  // --- The site's session.

  const places = {
    localStorage: (key) => localStorage.getItem(key),
    sessionStorage: (key) => sessionStorage.getItem(key),
    cookie: (name) => document.cookie.split('; ').filter((pair) => pair.startsWith(name + '='))
      .map((pair) => decodeURIComponent(pair.slice(name.length + 1)))[0],
    meta: (name) => document.querySelector('meta[name="' + CSS.escape(name) + '"]')?.content,
  };

  function siteToken() {
    const source = script.dataset.tokenSource;
    if (!source) {
      return null;
    }
    const [, place, name] = /^(\w+):(.+)$/.exec(source) || [];
    if (!places[place]) {
      throw new Error('data-token-source names no place: ' + source);
    }
    const token = places[place](name);
    return token && token.replace(/^"(.*)"$/, '$1'); // some keep it as JSON
  }

  async function askDoorward() {
    const headers = { 'Content-Type': 'application/json', 'X-Requested-With': 'XMLHttpRequest' };
    const token = siteToken();
    if (token) {
      headers.Authorization = 'Bearer ' + token;
    }
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), timeout);
    try {
      // `keepalive`: it arrives even if the page goes away meanwhile.
      const answer = await fetch(logout, {
        method: 'POST', headers, body: '{}', credentials: 'same-origin', keepalive: true, signal: patience.signal,
      });
      // 401: there is no session any more, which is what was asked for.
      if (!answer.ok && answer.status !== 401) {
        const words = await answer.json().catch(() => ({}));
        throw new Error(words.message || 'the site answered ' + answer.status);
      }
    } catch (error) {
      throw patience.signal.aborted ? new Error('the site did not answer in time') : error;
    } finally {
      clearTimeout(timer);
    }
  }

  let leaving = null; // the request under way; whoever asks meanwhile shares it

  function leave() {
    leaving = leaving || askDoorward().finally(() => { leaving = null; });
    return leaving;
  }

  // --- Ecwid's.

  // Ecwid's sign-out as a promise. The first thing it says counts; it may also throw, or say nothing.
  function leaveEcwid(signOut, customer) {
    return new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error('Ecwid did not answer in time')), timeout);
      signOut.call(customer, (success, message) => {
        if (success) {
          resolve();
        } else {
          reject(new Error(message || 'Ecwid did not sign out'));
        }
      });
    });
  }

  let isAnnounced = false; // Ecwid will tell of a sign-out that the page asked for

  // Both at once, so that neither keeps the other from it; then the page hears of it, once.
  function bothLeave(signOut, customer, callback) {
    const failures = [];
    const note = (error) => failures.push(String(error.message || error));
    isAnnounced = true;
    const ecwid = leaveEcwid(signOut, customer).catch((error) => { isAnnounced = false; note(error); });
    Promise.all([ecwid, leave().catch(note)]).then(() => {
      if (typeof callback === 'function') {
        callback(failures.length === 0, failures.length === 0 ? null : failures[0]);
      } else if (failures.length > 0) {
        console.error('Doorward: ' + failures[0]);
      }
    });
  }

  const known = new WeakSet(); // what was wrapped or followed already

  // Both spellings: the heading of Ecwid's documentation has the second, its code the first.
  function wrap(customer) {
    const signOut = customer.signOut || customer.signout;
    if (!signOut || known.has(customer.signOut) && known.has(customer.signout)) {
      return;
    }
    const wrapped = known.has(signOut) ? signOut : (callback) => bothLeave(signOut, customer, callback);
    known.add(wrapped);
    customer.signOut = customer.signout = wrapped;
  }

  function follow(event, makeHandler) {
    if (event && !known.has(event)) {
      known.add(event);
      event.add(makeHandler());
    }
  }

  // Ecwid's own button calls no function of the page: it shows in that somebody was there and is gone.
  function profileHandler() {
    let wasThere = false;
    return (customer) => {
      if (!customer && wasThere && !isAnnounced) {
        leave().catch((error) => console.error('Doorward: ' + error.message));
      }
      wasThere = Boolean(customer);
      isAnnounced = false;
    };
  }

  function look() {
    const ecwid = window.Ecwid;
    if (!ecwid) {
      return;
    }
    follow(ecwid.OnAPILoaded, () => look);
    follow(ecwid.OnSetProfile, profileHandler);
    if (ecwid.Customer) {
      wrap(ecwid.Customer);
    }
  }

  // Ecwid's loader replaces the global, and its parts come later, one by one. The first is noticed when the script that
  // does it ends, and of the second OnAPILoaded tells. Looking now and then finds what neither does: a property that
  // can't be redefined, ours redefined, a part that was replaced.
  let current = window.Ecwid;
  try {
    Object.defineProperty(window, 'Ecwid', {
      configurable: true,
      enumerable: true,
      get: () => current,
      set: (ecwid) => { current = ecwid; queueMicrotask(look); },
    });
  } catch (error) {
    // Somebody has fixed the property: then it is only looked at.
  }
  setInterval(look, 250);
  look();

  // An Ecwid that is blocked or down keeps nobody in: until the real one comes, nobody is signed in there.
  const standIn = { get: (callback) => callback(null), signOut: (callback) => callback(true, null) };
  setTimeout(() => {
    window.Ecwid = window.Ecwid || {};
    window.Ecwid.Customer = window.Ecwid.Customer || standIn;
    look();
  }, timeout);

  window.Doorward = { signOut: leave };
})();
