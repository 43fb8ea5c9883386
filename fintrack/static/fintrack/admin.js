// Select2 tells a screen reader the chosen value alone, and of its search field nothing: name both as the field is.
'use strict';
{
    const label = (select) => select.ariaLabel || select.labels[0]?.textContent.trim();

    const name = (select) => {
        const box = select.nextElementSibling.querySelector('.select2-selection');
        box.removeAttribute('aria-labelledby');
        box.ariaLabel = label(select);
        const value = box.querySelector('.select2-selection__rendered');
        value.removeAttribute('role');
        value.removeAttribute('aria-readonly');
        if (document.activeElement === select) {
            box.focus();
        }
    };

    const $ = window.django?.jQuery;
    $?.(() => {  // after Django's own script, which makes the boxes
        document.querySelectorAll('.admin-autocomplete').forEach(name);
        $(document).on('select2:open', (event) => {
            document.querySelector('.select2-search__field').ariaLabel = label(event.target);
        });
    });
}
