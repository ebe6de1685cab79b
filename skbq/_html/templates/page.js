for (const figure of document.querySelectorAll(".skbq-code")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "skbq-copy";
  button.textContent = "Copy";
  button.setAttribute("aria-live", "polite");
  const code = figure.querySelector("code");
  button.addEventListener("click", async () => {
    button.textContent = (await copied(code)) ? "Copied" : "Select it";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  figure.querySelector("figcaption").append(button);
}

// Where the clipboard is closed to a page, as to files in some browsers, the text is
// selected and copied as by hand.
async function copied(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(code);
    return document.execCommand("copy");
  }
}
