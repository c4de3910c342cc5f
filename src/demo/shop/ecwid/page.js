// The site's own page: it says what happens, and has a button for each thing that a customer can do.
(function () {
  'use strict';

  const byId = (id) => document.getElementById(id);
  window.heard = []; // what the callbacks of sign-outs were given
  window.blocked = []; // what the page's policy forbade

  function say(text) {
    const line = document.createElement('li');
    line.textContent = text;
    byId('story').append(line);
  }

  function onClick(id, act) {
    if (byId(id)) {
      byId(id).addEventListener('click', act);
    }
  }

  // A thief would have kept it: the cookie itself is deleted when its session ends.
  let oldToken = null;

  async function askForAccount(how, headers) {
    const answer = await fetch('/account', { headers });
    const { message } = await answer.json();
    say('The account, ' + how + ': ' + answer.status + (message ? ', ' + message : '') + '.');
  }

  document.addEventListener('securitypolicyviolation', (event) => {
    window.blocked.push(event.violatedDirective);
    say('The policy of the page forbade ' + event.violatedDirective + '.');
  });

  onClick('log-in', async () => {
    const body = JSON.stringify({ email: 'alice@example.com', password: 'secret' });
    const answer = await fetch('/login', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
    oldToken = (await answer.json()).token;
    localStorage.setItem('pretend-ecwid', 'alice@example.com');
    say('Logged in at the site and at Ecwid: ' + answer.status + '.');
  });

  onClick('account', () => askForAccount('with what the browser holds', {}));
  onClick('old-token', () => askForAccount('with the old token', { Authorization: 'Bearer ' + oldToken }));

  onClick('sign-out', () => window.Ecwid.Customer.signOut((...said) => {
    window.heard.push(said);
    say('Ecwid.Customer.signOut calls back: ' + said.map(String).join(', ') + '.');
  }));
})();
