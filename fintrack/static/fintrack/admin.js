// For screen readers: Select2 labels neither its box nor its search field. Give both the label of the form's field.
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
    $?.(() => {  // after Django's own script, which creates the boxes
        document.querySelectorAll('.admin-autocomplete').forEach(name);
        $(document).on('select2:open', (event) => {
            document.querySelector('.select2-search__field').ariaLabel = label(event.target);
        });
    });
}
