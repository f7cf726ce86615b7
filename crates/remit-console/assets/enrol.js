// The code of a link stands behind its #, which browsers never send: put it into the form, and out of the address.
"use strict";
(() => {
  const code = location.hash.slice(1);
  const field = document.getElementById("code");
  if (field && /^rmt_[A-Za-z0-9_-]{8,200}$/.test(code)) {
    field.value = code;
    history.replaceState(null, "", location.pathname);
    document.querySelector("#sign-in-link button")?.focus();
  }
})();
