import CMPI
import Execution
