// Passkeys: signing in with one, making one, and proving with one that it is still the same person (WebAuthn Level 3).
"use strict";
(() => {
  const supported = typeof PublicKeyCredential === "function" && PublicKeyCredential.parseRequestOptionsFromJSON;
  const post = async (at, path, body) => {
    const answer = await fetch(at + path, { method: "POST", credentials: "same-origin", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    const read = answer.status === 204 ? {} : await answer.json();
    if (!answer.ok) throw new Error(read.detail || "the server refused it");
    return read;
  };
  const wire = (buttonId, toldId, work) => {
    const button = document.getElementById(buttonId);
    const told = document.getElementById(toldId);
    if (!button || !told) return;
    if (!supported) { told.textContent = "This browser has no passkeys; use another way."; return; }
    button.hidden = false;
    told.textContent = "";
    button.addEventListener("click", async () => {
      button.disabled = true;
      told.textContent = "Waiting for your passkey";
      try { told.textContent = await work(button); }
      catch (error) { told.textContent = error.name === "NotAllowedError" ? "It was cancelled, or took too long. Try again." : "It did not work: " + error.message; }
      button.disabled = false;
    });
  };
  wire("passkey-sign-in", "passkey-told", async (button) => {
    const { at, next } = button.closest("[data-at]").dataset;
    const begun = await post(at, "/sign-in/passkey/begin", {});
    const options = PublicKeyCredential.parseRequestOptionsFromJSON(begun.options.publicKey || begun.options);
    const credential = await navigator.credentials.get({ publicKey: options });
    const welcome = await post(at, "/sign-in/passkey/finish", { ceremony: begun.ceremony, credential: credential.toJSON(), next });
    location.assign(welcome.next);
    return "Signed in";
  });
  // A yes that takes a passkey: it signs the digest of the very call, then the form goes as it is.
  let proved = "";
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-step-up]");
    if (!button || !supported || proved === button.dataset.stepUp) return;
    event.preventDefault();
    const digest = button.dataset.stepUp;
    const told = document.getElementById("step-up-told");
    const at = document.documentElement.dataset.at || "";
    const tell = (text) => { if (told) told.textContent = text; };
    button.disabled = true;
    tell("Waiting for your passkey");
    try {
      const begun = await post(at, "/sign-in/step-up/begin", { digest });
      const options = PublicKeyCredential.parseRequestOptionsFromJSON(begun.options.publicKey || begun.options);
      const credential = await navigator.credentials.get({ publicKey: options });
      await post(at, "/sign-in/step-up/finish", { digest, ceremony: begun.ceremony, credential: credential.toJSON() });
      proved = digest;
      tell("Proved; sending your yes");
      button.disabled = false;
      button.form.requestSubmit(button);
    } catch (error) {
      button.disabled = false;
      tell(error.name === "NotAllowedError" ? "It was cancelled, or took too long. Press again." : "It did not work: " + error.message);
    }
  });
  wire("passkey-make", "passkey-made", async (button) => {
    const { at } = button.closest("[data-at]").dataset;
    const begun = await post(at, "/sign-in/passkeys/begin", {});
    const options = PublicKeyCredential.parseCreationOptionsFromJSON(begun.options.publicKey || begun.options);
    const credential = await navigator.credentials.create({ publicKey: options });
    await post(at, "/sign-in/passkeys/finish", { ceremony: begun.ceremony, credential: credential.toJSON(), label: document.getElementById("passkey-label")?.value || "" });
    location.reload();
    return "Made";
  });
})();
