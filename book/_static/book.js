// The switch that hides all code of a chapter. It is remembered; without JavaScript the code is simply there.
(function () {
  var root = document.documentElement, key = 'learning-without-labels-no-code';
  function remembered() { try { return localStorage.getItem(key) === '1'; } catch (error) { return false; } }
  function remember(off) { try { localStorage.setItem(key, off ? '1' : '0'); } catch (error) { /* it works, and is forgotten */ } }
  root.classList.toggle('no-code', remembered()); // in the head, so that nothing moves later

  document.addEventListener('DOMContentLoaded', function () {
    var bar = document.querySelector('.article-header-buttons') || document.querySelector('.bd-header-article');
    if (!bar || !document.querySelector('.bd-article .cell_input')) return;
    var button = document.createElement('button');
    button.type = 'button';
    button.className = 'code-switch';
    function tell() { button.textContent = root.classList.contains('no-code') ? 'Show code' : 'Hide code'; }
    tell();
    button.addEventListener('click', function () {
      root.style.overflowAnchor = 'none'; // else the browser makes up for the change a second time
      var here = reading(), before = here && here.getBoundingClientRect().top;
      remember(root.classList.toggle('no-code'));
      tell();
      if (here) window.scrollBy({ top: here.getBoundingClientRect().top - before, behavior: 'instant' });
      setTimeout(function () { root.style.overflowAnchor = ''; }, 100);
    });
    bar.prepend(button);
  });

  // What is being read: the first piece of text, picture or table in sight; it stays where it is when code comes or goes.
  function reading() {
    var pieces = document.querySelectorAll('.bd-article :is(p, h1, h2, h3, li, figure, table, summary)');
    return Array.from(pieces).find(function (piece) {
      var box = piece.getBoundingClientRect();
      return box.height > 0 && box.top >= 60 && !piece.closest('.cell_input, details.setup, details.above-input');
    });
  }
})();
