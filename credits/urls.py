from rest_framework.routers import SimpleRouter

from .api import BorrowerViewSet, CreditViewSet, DictionaryViewSet, PaymentViewSet

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("borrowers", BorrowerViewSet, "borrowers")
router.register("credits", CreditViewSet, "credits")
router.register("payments", PaymentViewSet, "payments")
router.register("dictionary", DictionaryViewSet, "dictionary")

api = router.urls
