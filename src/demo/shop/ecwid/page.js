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

  document.addEventListener('securitypolicyviolation', (event) => {
    window.blocked.push(event.violatedDirective);
    say('The policy of the page forbade ' + event.violatedDirective + '.');
  });

  onClick('log-in', async () => {
    const body = JSON.stringify({ email: 'alice@example.com', password: 'secret' });
    const answer = await fetch('/login', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
    localStorage.setItem('pretend-ecwid', 'alice@example.com');
    say('Logged in at the site and at Ecwid: ' + answer.status + '.');
  });

  onClick('account', async () => {
    const answer = await fetch('/account');
    say('The account, with the cookie that the browser holds: ' + answer.status + '.');
  });

  onClick('sign-out', () => window.Ecwid.Customer.signOut((...said) => {
    window.heard.push(said);
    say('Ecwid.Customer.signOut calls back: ' + said.map(String).join(', ') + '.');
  }));
})();
