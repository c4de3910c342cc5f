// What stands in for Ecwid's own script: as much of its interface as a sign-out touches.
//
// Its query says how it loads (early, late, at-once, twice, redefined, never) and how its sign-out goes (well, fails, silent,
// throws, twice). Who is signed in stands in localStorage, under `pretend-ecwid`.
(function () {
  'use strict';

  const asked = new URL(document.currentScript.src).searchParams;
  const load = asked.get('load') || 'early';
  const signOut = asked.get('sign-out') || 'well';

  // Handlers that come late are told what happened before them.
  function extensionPoint() {
    const handlers = [];
    let last = null;
    return {
      add(handler) {
        handlers.push(handler);
        if (last) {
          handler(...last);
        }
      },
      fire(...values) {
        last = values;
        handlers.forEach((handler) => handler(...values));
      },
    };
  }

  function signedIn() {
    const email = localStorage.getItem('pretend-ecwid');
    return email && { id: 7, ownerId: 1, email, registered: '2026-01-01', billingPerson: {}, shippingAddresses: [] };
  }

  function begin(ecwid) {
    function leave() {
      localStorage.removeItem('pretend-ecwid');
      ecwid.OnSetProfile.fire(null);
      ecwid.OnSessionChanged.fire({ token: null });
    }
    const ways = {
      well(callback) { leave(); callback(true, null); },
      fails(callback) { callback(false, 'Ecwid is out of order'); },
      silent() {},
      twice(callback) { leave(); callback(true, null); callback(false, 'once more'); },
    };
    function comeAlive() {
      ecwid.Customer = {
        get: (callback) => setTimeout(() => callback(signedIn()), 0),
        signOut(callback) {
          if (signOut === 'throws') {
            throw new Error('Ecwid broke down');
          }
          setTimeout(() => ways[signOut](callback || (() => {})), 10);
        },
      };
      window.pretendEcwids = (window.pretendEcwids || 0) + 1; // how many there were on this page
      ecwid.OnAPILoaded.fire();
      ecwid.OnSetProfile.fire(signedIn());
      ecwid.OnPageLoaded.fire({ type: 'CATEGORY' });
    }
    if (load === 'at-once') {
      comeAlive();
    } else {
      setTimeout(comeAlive, 10); // its parts come after the object itself
    }
    // Its own button, which calls nothing that a page could have wrapped.
    document.addEventListener('click', (event) => {
      if (event.target.id === 'ecwid-sign-out' && signedIn()) {
        leave();
      }
    });
  }

  function make() {
    return {
      OnAPILoaded: extensionPoint(),
      OnSetProfile: extensionPoint(),
      OnPageLoaded: extensionPoint(),
      OnSessionChanged: extensionPoint(),
    };
  }

  function replace() {
    const { MessageBundles, restoreCartData } = window.Ecwid || {};
    window.Ecwid = { MessageBundles, restoreCartData, ...make() };
    begin(window.Ecwid);
  }

  const loads = {
    early: replace,
    'at-once': replace,
    late: () => setTimeout(replace, 400),
    twice() { replace(); setTimeout(replace, 100); },
    redefined() {
      const ecwid = make();
      begin(ecwid);
      const hidden = { ...ecwid, OnAPILoaded: undefined };
      Object.defineProperty(window, 'Ecwid', { value: hidden, configurable: true, writable: true });
      setTimeout(() => { hidden.Customer = ecwid.Customer; }, 50);
    },
    never() {},
  };
  loads[load]();
})();
