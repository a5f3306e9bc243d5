// The theme opens its navigation and its search on narrow screens with labels, which a keyboard cannot reach: here they
// are buttons. While the navigation is closed, its links take no focus, since they cannot be seen.
document.addEventListener("DOMContentLoaded", () => {
  const names = { __drawer: "Navigation", __search: "Search" };
  for (const [id, name] of Object.entries(names)) {
    const toggle = document.getElementById(id);
    for (const label of document.querySelectorAll(`.md-header label.md-header__button[for="${id}"]`)) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = label.className;
      button.setAttribute("for", id); // the theme's style sheet selects by it
      button.setAttribute("aria-label", name);
      button.append(...label.childNodes);
      button.addEventListener("click", () => {
        toggle.click();
        if (id === "__search") {
          document.querySelector(".md-search__input").focus();
        }
      });
      label.replaceWith(button);
    }
  }

  const drawer = document.getElementById("__drawer");
  const navigation = document.querySelector(".md-sidebar--primary");
  const narrow = window.matchMedia("(max-width: 76.2344em)");
  const apply = () => {
    navigation.inert = narrow.matches && !drawer.checked;
    if (narrow.matches && drawer.checked) {
      navigation.querySelector("a, label[tabindex]")?.focus();
    }
  };
  drawer.addEventListener("change", apply);
  narrow.addEventListener("change", apply);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && drawer.checked) {
      drawer.click();
      document.querySelector('.md-header button[for="__drawer"]').focus();
    }
  });
  apply();

  // The copy button of each code block stands in a <nav> without a name: no place to navigate to.
  const article = document.querySelector("article");
  const settle = () => {
    for (const each of article.querySelectorAll("nav.md-code__nav:not([role])")) {
      each.setAttribute("role", "presentation");
    }
  };
  new MutationObserver(settle).observe(article, { childList: true, subtree: true });
  settle();
});
